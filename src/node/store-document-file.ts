import { randomBytes } from 'node:crypto'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreFailedError } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { Lease } from '../ports.ts'
import type { GenerationLocks } from './generation-lock.ts'
import type { Decoded, DocumentCodec } from './store-document.ts'
import type { StoreFolder } from './store-folder.ts'
import { asStoreFailure, refused, systemCode } from './store-folder-error.ts'
import { MOVE_AWAY } from './store-folder-guard.ts'
import { type Room, takeRoom } from './store-room.ts'

/** One file that several processes read and change. Errors are `store_failed`. */
export interface DocumentFile<T> {
  /** Needs no lock: a file is only ever replaced as a whole. A damaged one is set aside and counts as absent. */
  read(): Promise<T | undefined>
  /** Like `read`, for a look around: nothing is changed, and what cannot be used says why. */
  peek(): Promise<Decoded<T> | undefined>
  /**
   * Reads, changes and replaces the file while everybody else waits. `change` gets `undefined` for an absent file and
   * returns `undefined` to leave all as it is. It may be called again when the lock was lost. The new file is made in
   * `room`, where one was taken.
   */
  update(change: (document: T | undefined) => T | undefined, room?: Room): Promise<void>
  /** Takes room beside the document, under `name` there, for the document as it is and `growth` bytes more. */
  takeRoom(name: string, growth: number): Promise<Room>
}

/** What a file of documents is made of. */
export interface DocumentParts {
  readonly folder: StoreFolder
  readonly locks: GenerationLocks
  readonly emit: EventListener
}

const TEMPORARY = '.tmp'
const MOST_TRIES = 5

/** The folder for locks and temporary files of a document: beside it, and small, so that it can be listed at one go. */
export function lockFolder(path: string): string {
  return `${path}.lock`
}

/** The lock around every change of a document, without its generation. */
export function documentLock(path: string): string {
  return join(lockFolder(path), 'document')
}

export function openDocument<T>(
  path: string,
  codec: DocumentCodec<T>,
  parts: DocumentParts,
): DocumentFile<T> {
  const { folder, locks, emit } = parts

  const peek = async (): Promise<Decoded<T> | undefined> => {
    if (!(await folder.exists(dirname(path)))) return undefined
    const bytes = await folder.read(path)
    return bytes && decodeBytes(bytes, codec)
  }

  const whileLocked = async <R>(work: (lease: Lease, place: string) => Promise<R>): Promise<R> => {
    await folder.ensure(lockFolder(path))
    const place = await folder.identity(dirname(path))
    const lease = await asStoreFailure(path, 'locked', () => locks.acquire(documentLock(path)))
    try {
      return await work(lease, place)
    } finally {
      await lease.release()
    }
  }

  /** Only under the lock: whoever looked before may have seen what is repaired by now. */
  const peekAndSetAside = async (): Promise<Decoded<T> | undefined> => {
    const decoded = await peek()
    if (decoded?.state !== 'damaged') return decoded
    const aside = await asStoreFailure(path, 'set aside', () => setAside(path))
    await folder.sync(dirname(path))
    emit({
      type: 'warning',
      code: 'store_file_set_aside',
      message: `${path} could not be read and was kept as ${aside}. Sign in again where that is asked for.`,
    })
    return undefined
  }

  /** False when somebody took the lock over; then nothing was changed. */
  const replace = async (
    document: T,
    { lease, place, room }: { lease: Lease; place: string; room: Room | undefined },
  ): Promise<boolean> => {
    const temporary = join(lockFolder(path), `${randomBytes(8).toString('hex')}${TEMPORARY}`)
    const content = codec.encode(document)
    let isDone = false
    try {
      const isInRoom = (await room?.become(temporary, content)) ?? false
      if (!isInRoom && !(await folder.create(temporary, content))) return false
      if (!(await lease.isHeld())) return false
      if ((await folder.identity(dirname(path))) !== place) {
        throw refused(dirname(path), 'was exchanged while a login was written to it', MOVE_AWAY)
      }
      isDone = await asStoreFailure(path, 'written', () => moveOver(temporary, path))
      return isDone
    } finally {
      if (!isDone) await unlink(temporary).catch(() => {})
    }
  }

  return {
    peek,

    async read() {
      let decoded = await peek()
      if (decoded?.state === 'damaged') decoded = await whileLocked(peekAndSetAside)
      if (decoded?.state === 'newer') throw newer(path, decoded.version)
      return decoded?.state === 'ours' ? decoded.document : undefined
    },

    async update(change, room) {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const isDone = await whileLocked(async (lease, place) => {
          // Leftovers of crashed holders, and the fence against paused ones: without its temporary file nobody who lost
          // the lock can replace what is read here.
          await removeTemporaries(folder, lockFolder(path))
          const next = change(usable(path, await peekAndSetAside()))
          return next === undefined || (await replace(next, { lease, place, room }))
        })
        if (!isDone) continue
        await folder.sync(dirname(path))
        return
      }
      throw new StoreFailedError({
        location: path,
        message: `${path} could not be written: the lock was lost ${MOST_TRIES} times.`,
        remedy: 'Run it again when the machine is less busy. What was stored before is unchanged.',
      })
    },

    async takeRoom(name, growth) {
      await folder.ensure(lockFolder(path))
      const size = (await folder.read(path))?.length ?? 0
      return takeRoom(folder, join(lockFolder(path), name), size + growth)
    },
  }
}

function decodeBytes<T>(bytes: Uint8Array, codec: DocumentCodec<T>): Decoded<T> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { state: 'damaged' }
  }
  return codec.decode(text)
}

/** The document that a change starts from. What is not ours is never overwritten. */
function usable<T>(path: string, decoded: Decoded<T> | undefined): T | undefined {
  if (decoded?.state === 'newer') throw newer(path, decoded.version)
  if (decoded?.state === 'foreign') {
    throw new StoreFailedError({
      location: path,
      message: `${path} ${decoded.reason}, so nothing is written to it.`,
      remedy: decoded.remedy ?? 'Move the file away, or set LATCHKEY_HOME to another folder.',
    })
  }
  return decoded?.state === 'ours' ? decoded.document : undefined
}

function newer(path: string, version: number): StoreFailedError {
  return new StoreFailedError({
    location: path,
    message: `${path} was written by a later version of latchkey (format version ${version}); it is left as it is.`,
    remedy: 'Update latchkey, or set LATCHKEY_HOME to another folder.',
  })
}

/** The name is reserved first, so that nothing that was kept before is overwritten. */
async function setAside(path: string): Promise<string> {
  for (let number = 1; ; number++) {
    const aside = `${path}.corrupt-${number}`
    try {
      await (await open(aside, 'wx', 0o600)).close()
    } catch (error) {
      if (systemCode(error) === 'EEXIST') continue
      throw error
    }
    await rename(path, aside)
    return aside
  }
}

async function removeTemporaries(folder: StoreFolder, within: string): Promise<void> {
  for (const { name } of await folder.entries(within)) {
    if (!name.endsWith(TEMPORARY)) continue
    await asStoreFailure(join(within, name), 'removed', async () => {
      await unlink(join(within, name)).catch((error: unknown) => {
        if (systemCode(error) !== 'ENOENT') throw error
      })
    })
  }
}

/** Replaces the target at one go; a link that stands there is replaced itself. False when the temporary file is gone. */
async function moveOver(temporary: string, path: string): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      await rename(temporary, path)
      return true
    } catch (error) {
      const code = systemCode(error) ?? ''
      if (code === 'ENOENT') return false
      // Windows: a virus scanner or indexer may hold the target for a moment.
      if (tries === 5 || !['EPERM', 'EACCES', 'EBUSY'].includes(code)) throw error
      await sleep(20 * tries)
    }
  }
}
