import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { EventListener } from '../events.ts'
import { asStoreFailure, refused, systemCode } from './store-folder-error.ts'

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
  create(file: string, content: string): Promise<boolean>
  /** Waits until renames in this folder are on the disk. */
  sync(folder: string): Promise<void>
  /** What is in a folder, by name; nothing when it is not there. Links are no folders. */
  entries(folder: string): Promise<{ name: string; isFolder: boolean }[]>
}

const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_DIRECTORY = 0 } = constants
const MOVE_AWAY = 'Look at it, then move it away or set LATCHKEY_HOME to another folder.'

export function createStoreFolder(options: StoreFolderOptions): StoreFolder {
  const { emit } = options
  const home = resolve(options.home)
  const uid = 'uid' in options ? options.uid : process.geteuid?.()
  const reportNarrowed = createNarrowingReport(emit)

  /** From the home down to the folder. */
  const chain = (folder: string): string[] => (folder === home ? [home] : [...chain(dirname(folder)), folder])

  const checkHome = async (stats: Stats): Promise<void> => {
    if (!stats.isDirectory()) throw refused(home, 'is not a folder', MOVE_AWAY)
    if (uid === undefined) return
    if (stats.uid !== uid && stats.uid !== 0) throw refused(home, `belongs to user ${stats.uid}`, MOVE_AWAY)
    // Other programs live in this folder and may want to be read. Nobody else may exchange what is in it.
    const isSticky = (stats.mode & 0o1000) !== 0
    if (stats.mode & 0o022 && !(isSticky && stats.uid === 0)) {
      await narrow(home, stats, stats.mode & 0o755, O_DIRECTORY, reportNarrowed)
    }
  }

  const checkFolder = async (folder: string, stats: Stats): Promise<void> => {
    if (stats.isSymbolicLink()) throw refused(folder, 'is a symbolic link', MOVE_AWAY)
    if (!stats.isDirectory()) throw refused(folder, 'is not a folder', MOVE_AWAY)
    if (uid === undefined) return
    if (stats.uid !== uid) throw refused(folder, `belongs to user ${stats.uid}`, MOVE_AWAY)
    if (stats.mode & 0o077) {
      await narrow(folder, stats, stats.mode & 0o700, O_DIRECTORY | O_NOFOLLOW, reportNarrowed)
    }
  }

  const check = async (folder: string): Promise<boolean> => {
    try {
      if (folder === home) await checkHome(await stat(home))
      else await checkFolder(folder, await lstat(folder))
      return true
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw error
    }
  }

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
          const stats = await handle.stat()
          if (!stats.isFile()) throw refused(file, 'is not a regular file', MOVE_AWAY)
          if (uid !== undefined && stats.uid !== uid) {
            throw refused(file, `belongs to user ${stats.uid}`, MOVE_AWAY)
          }
          if (uid !== undefined && stats.mode & 0o077) {
            await narrowHandle(handle, file, stats, stats.mode & 0o600, reportNarrowed)
          }
          return await handle.readFile()
        } finally {
          await handle.close()
        }
      }),

    create: (file, content) =>
      asStoreFailure(file, 'written', async () => {
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
      }),

    sync: (folder) => asStoreFailure(folder, 'written', () => syncFolder(folder)),

    entries: (folder) =>
      asStoreFailure(folder, 'listed', async () => {
        try {
          const entries = await readdir(folder, { withFileTypes: true })
          return entries
            .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
            .sort((a, b) => (a.name < b.name ? -1 : 1))
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return []
          throw error
        }
      }),
  }
}

async function makeFolder(folder: string, withParents: boolean): Promise<void> {
  try {
    await mkdir(folder, { recursive: withParents, mode: 0o700 })
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  }
}

/** Opens a file for reading if its last component is no link; a pipe does not block. */
async function openUnlinked(file: string): Promise<FileHandle | undefined> {
  const link = (): Error => refused(file, 'is a symbolic link', MOVE_AWAY)
  try {
    // Windows has no O_NOFOLLOW.
    if (!O_NOFOLLOW && (await lstat(file)).isSymbolicLink()) throw link()
    return await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return undefined
    // FreeBSD says EMLINK where the others say ELOOP.
    if (code === 'ELOOP' || code === 'EMLINK') throw link()
    throw error
  }
}

type ReportNarrowed = (path: string, before: number, after: number | undefined) => void

/** Opened first, so that what was looked at and what is changed are the same thing. */
async function narrow(
  path: string,
  seen: Stats,
  mode: number,
  flags: number,
  report: ReportNarrowed,
): Promise<void> {
  const handle = await open(path, O_RDONLY | flags)
  try {
    const stats = await handle.stat()
    if (stats.ino !== seen.ino || stats.dev !== seen.dev) {
      throw refused(path, 'was exchanged while it was looked at', MOVE_AWAY)
    }
    await narrowHandle(handle, path, stats, mode, report)
  } finally {
    await handle.close()
  }
}

async function narrowHandle(
  handle: FileHandle,
  path: string,
  stats: Stats,
  mode: number,
  report: ReportNarrowed,
): Promise<void> {
  try {
    await handle.chmod(mode & 0o777)
    report(path, stats.mode, mode)
  } catch (error) {
    // A medium without modes, or a folder of root's: a person should know, but it is no reason to refuse a login.
    if (systemCode(error) === undefined) throw error
    report(path, stats.mode, undefined)
  }
}

/** One warning per store: the folder is found first, and what is in it was reachable only through it. */
function createNarrowingReport(emit: EventListener): ReportNarrowed {
  let reported = false
  return (path, before, after) => {
    if (reported) return
    reported = true
    const outcome =
      after === undefined
        ? 'it could not be narrowed. Set LATCHKEY_HOME to a folder of your own.'
        : `it is ${octal(after)} now, and what is found open below it is narrowed as well. If others use this machine, sign out and in again.`
    emit({
      type: 'warning',
      code: 'store_permissions_narrowed',
      message: `${path} was open to other users (mode ${octal(before)}); ${outcome}`,
    })
  }
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
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
