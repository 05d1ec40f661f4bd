import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
const CHUNK = 65_536

/** How long somebody may take to open the other end of a pipe, and to write all of it (a person may be asked first). */
const WRITER = { comes: 2000, ends: 60_000 } as const
const PAUSE = 10

/** A file that is there but is no file to read: a folder, a pipe, a device, or far too long. `message` follows a path. */
export class UnfitFileError extends Error {}

/** The bytes of a file and what the system says of the very thing they were read from. */
export interface PlainFile {
  readonly bytes: Uint8Array
  readonly dev: number
  readonly ino: number
}

/**
 * Reads a regular file of at most `limit` bytes, through links unless `followsLinks` is false. Looks at what was opened, not at
 * what was there before; never waits for the other end of a pipe.
 *
 * @throws {@link UnfitFileError}, and the error of the operating system
 */
export async function readPlainFile(
  path: string,
  { limit, followsLinks = true }: { limit: number; followsLinks?: boolean },
): Promise<PlainFile> {
  const handle = await openForReading(path, { followsLinks })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new UnfitFileError('is not a regular file')
    return { bytes: await readAtMost(handle, limit), dev: stats.dev, ino: stats.ino }
  } finally {
    await handle.close()
  }
}

/**
 * Reads what the user named for its text: a regular file, or a pipe, as `<(program)` and password managers put one there.
 * Follows links.
 *
 * @throws {@link UnfitFileError}, and the error of the operating system
 */
export async function readNamedFile(path: string, { limit }: { limit: number }): Promise<PlainFile> {
  const handle = await openForReading(path, { followsLinks: true })
  try {
    const stats = await handle.stat()
    if (!stats.isFile() && !stats.isFIFO()) throw new UnfitFileError('is not a regular file')
    const read = stats.isFIFO() ? readPipe : readAtMost
    return { bytes: await read(handle, limit), dev: stats.dev, ino: stats.ino }
  } finally {
    await handle.close()
  }
}

/** Opens without waiting: what was opened is for the caller to look at. */
export function openForReading(
  path: string,
  { followsLinks }: { followsLinks: boolean },
): Promise<FileHandle> {
  return open(path, O_RDONLY | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
}

/** All bytes to the end of an open file, however long it says it is. @throws {@link UnfitFileError} beyond the limit */
export function readAtMost(handle: FileHandle, limit: number): Promise<Uint8Array> {
  return gather(limit, () => readChunk(handle))
}

/** Until somebody came to write (`EAGAIN`, or the first bytes), an end is none. */
async function readPipe(handle: FileHandle, limit: number): Promise<Uint8Array> {
  const opened = performance.now()
  let came = false
  return gather(limit, async () => {
    for (;;) {
      const chunk = await readChunk(handle).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EAGAIN') throw error
      })
      came ||= chunk === undefined || chunk.length > 0
      if (came && chunk) return chunk
      const patience = came ? WRITER.ends : WRITER.comes
      if (performance.now() - opened > patience) {
        throw new UnfitFileError(
          `is a pipe that nobody ${came ? 'closed' : 'opened'} within ${patience / 1000} s`,
        )
      }
      await sleep(PAUSE)
    }
  })
}

/** Puts together what comes until nothing does. */
async function gather(limit: number, next: () => Promise<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for (;;) {
    const chunk = await next()
    if (chunk.length === 0) return Buffer.concat(parts, size)
    size += chunk.length
    if (size > limit) throw new UnfitFileError(`is longer than ${Math.floor(limit / 1024)} KB`)
    parts.push(chunk)
  }
}

async function readChunk(handle: FileHandle): Promise<Uint8Array> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(CHUNK), 0, CHUNK)
  return buffer.subarray(0, bytesRead)
}
