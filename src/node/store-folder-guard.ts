import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, stat } from 'node:fs/promises'
import type { StoreFailedError } from '../errors/index.ts'
import { shellWord } from '../errors/shell-word.ts'
import type { EventListener } from '../events.ts'
import { isOwnOrRoots, weakStep } from './path-steps.ts'
import { refused, systemCode } from './store-folder-error.ts'

/**
 * Looks at owner, kind and mode before anything is used. What belongs to others, is a link or could have been written by
 * others is refused (`store_failed`); what is ours but open to others is narrowed, and the first such thing is reported. What
 * lies in a folder that was closed already could be reached by nobody: it is narrowed without a word.
 */
export interface StoreGuard {
  /** The folder everything is in; false when it is not there. */
  home(folder: string): Promise<boolean>
  /** A folder below the home; false when it is not there. */
  folder(folder: string): Promise<boolean>
  /** An open file. */
  file(file: string, handle: FileHandle): Promise<void>
}

export interface StoreGuardOptions {
  emit: EventListener
  /** Whose files are ours; `undefined` (Windows): owners and modes are not judged. */
  uid: number | undefined
}

const { O_RDONLY, O_NOFOLLOW = 0, O_DIRECTORY = 0 } = constants
export const MOVE_AWAY = 'Look at it, then move it away or set LATCHKEY_HOME to another folder.'

export function createStoreGuard({ emit, uid }: StoreGuardOptions): StoreGuard {
  const tell = createNarrowingReport(emit)
  // Folders are looked at from the top down.
  let isClosed = false
  // FAT, or a Windows disk under WSL: every mode is wide and says nothing.
  let hasModes = true
  const report: ReportNarrowed = (path, before, after) => {
    if (after === undefined) hasModes = false
    if (!isClosed || after === undefined) tell(path, before, after)
  }

  return {
    home: (home) =>
      unlessAbsent(async () => {
        if (uid !== undefined) refuseOpenWay(home, uid)
        const stats = await stat(home)
        if (!stats.isDirectory()) throw refused(home, 'is not a folder', MOVE_AWAY)
        if (uid === undefined) return
        if (!isOwnOrRoots(stats.uid, uid)) throw refused(home, `belongs to user ${stats.uid}`, MOVE_AWAY)
        // Other programs live in this folder and may want to be read. Nobody else may exchange what is in it.
        const isRoots = stats.uid === 0 || stats.uid !== uid
        const isSticky = (stats.mode & 0o1000) !== 0
        if (stats.mode & 0o022 && !(isSticky && isRoots)) {
          // Root's own: nobody but root can close it.
          if (stats.uid !== uid && stats.mode & 0o002) throw openToAll(home, home)
          await narrowFolder(home, stats, { mode: stats.mode & 0o755, flags: O_DIRECTORY, report })
        }
      }),

    folder: (folder) =>
      unlessAbsent(async () => {
        const stats = await lstat(folder)
        if (stats.isSymbolicLink()) throw refused(folder, 'is a symbolic link', MOVE_AWAY)
        if (!stats.isDirectory()) throw refused(folder, 'is not a folder', MOVE_AWAY)
        if (uid === undefined) return
        if (stats.uid !== uid) throw refused(folder, `belongs to user ${stats.uid}`, MOVE_AWAY)
        if ((stats.mode & 0o077) === 0) {
          isClosed = true
          return
        }
        await narrowFolder(folder, stats, {
          mode: stats.mode & 0o700,
          flags: O_DIRECTORY | O_NOFOLLOW,
          report,
        })
      }),

    async file(file, handle) {
      const stats = await handle.stat()
      if (!stats.isFile()) throw refused(file, 'is not a regular file', MOVE_AWAY)
      if (uid === undefined) return
      if (stats.uid !== uid) throw refused(file, `belongs to user ${stats.uid}`, MOVE_AWAY)
      // Whoever made the other name chose what is read here, and would see it changed.
      if (stats.nlink > 1) throw refused(file, 'has a second name (a hard link)', ownFile(file))
      // A group alone is narrowed below: some volumes give every file one.
      if (hasModes && stats.mode & 0o002) {
        throw refused(
          file,
          `can be written by other users (mode ${octal(stats.mode)})`,
          `If you know what it says to be yours: chmod 600 ${shellWord(file)}\nElse move it away and sign in again.`,
        )
      }
      if (stats.mode & 0o077)
        await narrow(handle, file, { before: stats.mode, mode: stats.mode & 0o600, report })
    },
  }
}

/** Refuses a home that others could exchange for one of their making. */
function refuseOpenWay(home: string, uid: number): void {
  const weak = weakStep(home, uid)
  if (weak === undefined) return
  const { path, stats } = weak
  if (!stats.isSymbolicLink()) throw openToAll(home, path)
  throw refused(home, `is reached by ${path}, a symbolic link of user ${stats.uid}`, MOVE_AWAY)
}

function openToAll(home: string, folder: string): StoreFailedError {
  const remedy = `Set LATCHKEY_HOME to a folder of your own. Or let users of ${folder} exchange only what is theirs: chmod +t ${shellWord(folder)}\nWhere neither is possible, LATCHKEY_STORE=memory keeps logins for one process; a program may use a database.`
  if (home === folder) return refused(home, 'can be written by every user', remedy)
  return refused(home, `is in ${folder}, where every user can exchange it`, remedy)
}

function ownFile(file: string): string {
  return `Look at it. If it is yours, give it a file of its own: cp -p ${shellWord(file)} ${shellWord(`${file}.own`)} && mv ${shellWord(`${file}.own`)} ${shellWord(file)}`
}

async function unlessAbsent(look: () => Promise<void>): Promise<boolean> {
  try {
    await look()
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

type ReportNarrowed = (path: string, before: number, after: number | undefined) => void

/** Opened first, so that what was looked at and what is changed are the same thing. */
async function narrowFolder(
  path: string,
  seen: Stats,
  { mode, flags, report }: { mode: number; flags: number; report: ReportNarrowed },
): Promise<void> {
  const handle = await open(path, O_RDONLY | flags)
  try {
    const stats = await handle.stat()
    if (stats.ino !== seen.ino || stats.dev !== seen.dev) {
      throw refused(path, 'was exchanged while it was looked at', MOVE_AWAY)
    }
    await narrow(handle, path, { before: stats.mode, mode, report })
  } finally {
    await handle.close()
  }
}

async function narrow(
  handle: FileHandle,
  path: string,
  { before, mode, report }: { before: number; mode: number; report: ReportNarrowed },
): Promise<void> {
  try {
    await handle.chmod(mode & 0o777)
    // Some media take the call and change nothing.
    const { mode: after } = await handle.stat()
    report(path, before, (after & 0o777) === (mode & 0o777) ? mode : undefined)
  } catch (error) {
    // A medium without modes, or a folder of root's: a person should know, but it is no reason to refuse a login.
    if (systemCode(error) === undefined) throw error
    report(path, before, undefined)
  }
}

/** One warning per store: the folder is found first, and what is in it was reachable only through it. */
function createNarrowingReport(emit: EventListener): ReportNarrowed {
  let isReported = false
  return (path, before, after) => {
    if (isReported) return
    isReported = true
    const outcome =
      after === undefined
        ? 'it could not be narrowed. Set LATCHKEY_HOME to a folder of your own.'
        : `it is ${octal(after)} now, and nothing below it can be reached by others any more. If others use this machine, sign out and in again.`
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
