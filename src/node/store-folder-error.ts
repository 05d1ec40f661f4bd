import { StoreFailedError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'

/** What the person can do, by the system's error code. */
const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'Give your user the rights to it, or set LATCHKEY_HOME to a folder of your own.',
  EPERM: 'Give your user the rights to it, or set LATCHKEY_HOME to a folder of your own.',
  EROFS: 'The file system is read-only: set LATCHKEY_HOME to a folder that can be written.',
  ENOSPC: 'The disk is full: free some space and run it again. What was stored before is unchanged.',
  EDQUOT:
    'Your disk quota is used up: free some space and run it again. What was stored before is unchanged.',
  EMFILE: 'This process has too many files open: raise the limit (`ulimit -n`).',
}

/** Runs one piece of file work; an error of the operating system becomes `store_failed` with the path and a remedy. */
export async function asStoreFailure<T>(path: string, act: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    throw new StoreFailedError({
      location: path,
      message: `${cleanServerText(path, 1000)} could not be ${act} (${code}).`,
      remedy: REMEDIES[code] ?? 'Set LATCHKEY_HOME to another folder if this one cannot be used.',
      cause: error,
    })
  }
}

/** The code of an error of the operating system, such as `ENOENT`; `undefined` for every other error. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error)) return undefined
  return (error as NodeJS.ErrnoException).code
}

/** A file or folder that is there but may not be used for credentials. */
export function refused(path: string, because: string, remedy: string): StoreFailedError {
  return new StoreFailedError({
    location: path,
    message: `${cleanServerText(path, 1000)} ${because}, so it is not used for credentials.`,
    remedy,
  })
}
