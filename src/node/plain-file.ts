import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
const CHUNK = 65_536

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

/** Opens without waiting: what was opened is for the caller to look at. */
export function openForReading(
  path: string,
  { followsLinks }: { followsLinks: boolean },
): Promise<FileHandle> {
  return open(path, O_RDONLY | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
}

/** All bytes to the end of an open file, however long it says it is. @throws {@link UnfitFileError} beyond the limit */
export async function readAtMost(handle: FileHandle, limit: number): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let size = 0
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(CHUNK), 0, CHUNK)
    if (bytesRead === 0) return Buffer.concat(parts, size)
    size += bytesRead
    if (size > limit) throw new UnfitFileError(`is longer than ${Math.floor(limit / 1024)} KB`)
    parts.push(buffer.subarray(0, bytesRead))
  }
}
