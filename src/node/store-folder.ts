import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { EventListener } from '../events.ts'
import { openForReading, readAtMost, UnfitFileError } from './plain-file.ts'
import { asStoreFailure, refused, systemCode } from './store-folder-error.ts'
import { createStoreGuard, MOVE_AWAY } from './store-folder-guard.ts'

export interface StoreFolderOptions {
  /** Absolute. May be a symbolic link; nothing below it may. */
  home: string
  emit: EventListener
  /** Whose files are ours. Default: the effective user of the process; `undefined` (Windows): owners and modes are not judged. */
  uid?: number | undefined
}

/**
 * Files and folders that only their owner can read, from the first byte on: what is created gets 0700 / 0600 at its
 * creation, what is found wider is narrowed and reported once. Errors are `store_failed`.
 */
export interface StoreFolder {
  /** Absolute, without a trailing separator. */
  readonly home: string
  /** Creates what is missing of a folder below the home, and checks all of it. */
  ensure(folder: string): Promise<void>
  /** Checks a folder without creating it; false when it is not there. */
  exists(folder: string): Promise<boolean>
  /** The bytes of one of our files, `undefined` when there is none. Refuses links, other people's files, pipes. */
  read(file: string): Promise<Uint8Array | undefined>
  /** Creates a file under a name that nobody uses yet, and waits until it is on the disk. False when the name is taken. */
  create(file: string, content: string | Uint8Array): Promise<boolean>
  /** Puts other content into one of our files, in the room it has, and waits until it is on the disk. False when it is gone. */
  fill(file: string, content: string): Promise<boolean>
  /** Says of a folder that is there which one it is: another text once something else has its name. */
  identity(folder: string): Promise<string>
  /** Waits until renames in this folder are on the disk. */
  sync(folder: string): Promise<void>
  /** What is in a folder, by name; nothing when it is not there. Links are no folders. */
  entries(folder: string): Promise<{ name: string; isFolder: boolean }[]>
}

/** Far more than the logins of one server, little enough to be read at once. */
const LONGEST = 64 * 1024 * 1024

const { O_RDONLY, O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_DIRECTORY = 0 } = constants

export function createStoreFolder(options: StoreFolderOptions): StoreFolder {
  const home = resolve(options.home)
  const uid = 'uid' in options ? options.uid : process.geteuid?.()
  const guard = createStoreGuard({ emit: options.emit, uid })
  const check = (folder: string) => (folder === home ? guard.home(folder) : guard.folder(folder))
  /** From the home down to the folder. */
  const chain = (folder: string): string[] => (folder === home ? [home] : [...chain(dirname(folder)), folder])

  return {
    home,

    ensure: (folder) =>
      asStoreFailure(folder, 'created', async () => {
        for (const step of chain(folder)) {
          if (await check(step)) continue
          await makeFolder(step, step === home)
          // Checked again: between the look and the creation somebody else may have put something there.
          if (!(await check(step))) throw refused(step, 'disappears as soon as it is created', MOVE_AWAY)
        }
      }),

    exists: (folder) =>
      asStoreFailure(folder, 'read', async () => {
        for (const step of chain(folder)) {
          if (!(await check(step))) return false
        }
        return true
      }),

    read: (file) =>
      asStoreFailure(file, 'read', async () => {
        const handle = await openUnlinked(file)
        if (!handle) return undefined
        try {
          await guard.file(file, handle)
          return await readAtMost(handle, LONGEST)
        } catch (error) {
          if (error instanceof UnfitFileError) throw refused(file, error.message, MOVE_AWAY)
          throw error
        } finally {
          await handle.close()
        }
      }),

    create: (file, content) => asStoreFailure(file, 'written', () => createFile(file, content)),
    fill: (file, content) =>
      asStoreFailure(file, 'written', () => fillFile(file, content, (handle) => guard.file(file, handle))),
    identity: (folder) => asStoreFailure(folder, 'read', () => identityOf(folder, folder === home)),
    sync: (folder) => asStoreFailure(folder, 'written', () => syncFolder(folder)),
    entries: (folder) => asStoreFailure(folder, 'listed', () => listFolder(folder)),
  }
}

async function makeFolder(folder: string, withParents: boolean): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EEXIST') return
    const parent = dirname(folder)
    if (code !== 'ENOENT' || !withParents || parent === folder) throw error
    // By hand: Node's own `recursive` never ends where a folder cannot be made although its parent is there (/proc).
    await makeFolder(parent, true)
    await mkdir(folder, { mode: 0o700 }).catch((again) => {
      if (systemCode(again) !== 'EEXIST') throw again
    })
  }
}

/** Opens a file for reading if its last component is no link; a pipe does not block. */
async function openUnlinked(file: string): Promise<FileHandle | undefined> {
  const link = (): Error => refused(file, 'is a symbolic link', MOVE_AWAY)
  try {
    // Windows has no O_NOFOLLOW.
    if (!O_NOFOLLOW && (await lstat(file)).isSymbolicLink()) throw link()
    return await openForReading(file, { followsLinks: false })
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return undefined
    // FreeBSD says EMLINK where the others say ELOOP.
    if (code === 'ELOOP' || code === 'EMLINK') throw link()
    throw error
  }
}

async function createFile(file: string, content: string | Uint8Array): Promise<boolean> {
  let handle: FileHandle
  try {
    handle = await open(file, 'wx', 0o600)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    await unlink(file).catch(() => {})
    throw error
  } finally {
    await handle.close()
  }
  return true
}

async function fillFile(
  file: string,
  content: string,
  check: (handle: FileHandle) => Promise<void>,
): Promise<boolean> {
  let handle: FileHandle
  try {
    handle = await open(file, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
  try {
    await check(handle)
    const bytes = Buffer.from(content)
    // Written first and cut off afterwards: the other way round the room would be given back. All of it, or an error: one
    // `write` alone may stop early, and what lies behind is random.
    await handle.writeFile(bytes)
    await handle.truncate(bytes.length)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return true
}

/** The home may be reached by a link; a link anywhere else is another thing than the folder that had the name. */
async function identityOf(folder: string, isHome: boolean): Promise<string> {
  const { dev, ino } = isHome ? await stat(folder) : await lstat(folder)
  return `${dev}:${ino}`
}

/** Not every system can sync a folder: Windows cannot open one, some network file systems refuse. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, O_RDONLY | O_DIRECTORY)
    await handle.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes(systemCode(error) ?? '')) throw error
  } finally {
    await handle?.close()
  }
}

async function listFolder(folder: string): Promise<{ name: string; isFolder: boolean }[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries
      .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}
