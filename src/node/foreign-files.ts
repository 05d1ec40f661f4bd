import { lstat, open, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreFailedError } from '../errors/index.ts'
import type { PathEnvironment } from './paths.ts'
import { openForReading, readAtMost, UnfitFileError } from './plain-file.ts'
import { asStoreFailure, refused, systemCode } from './store-folder-error.ts'

/** The folders of other programs that keep logins. */
export type ForeignFolder = 'mcp-use-python' | 'mcp-use-typescript' | 'mcp-remote'

export interface ForeignFile {
  readonly path: string
  readonly text: string
  /** Milliseconds since 1970. */
  readonly modified: number
}

/** Files of other programs: read with the caution that our own get, and never changed but in name. Throws `store_failed`. */
export interface ForeignFiles {
  /** Folders in one of theirs, by name. */
  folders(root: ForeignFolder): Promise<string[]>
  /** `undefined` when there is none. Refuses links, other people's files, and what is too long to be a login. */
  read(root: ForeignFolder, relative: string): Promise<ForeignFile | undefined>
  /** Gives a file the name that is wanted, or one with a number where something has it already. */
  rename(path: string, wanted: string): Promise<string>
  /** Gives it its own name back, unless something took it meanwhile. */
  restore(aside: string, path: string): Promise<void>
}

const LONGEST = 1024 * 1024
const MOVE = 'Look at it; it was left as it is.'

export function createForeignFiles(
  environment: PathEnvironment,
  uid: number | undefined = process.geteuid?.(),
): ForeignFiles {
  const rootOf = (root: ForeignFolder) => foreignFolder(environment, root)

  /** The root itself may be a link: its owner put it there. Nothing below may. */
  const checkFolder = async (path: string): Promise<boolean> => {
    try {
      const stats = await lstat(path)
      if (!stats.isDirectory())
        throw refused(path, stats.isSymbolicLink() ? 'is a symbolic link' : 'is not a folder', MOVE)
      if (uid !== undefined && stats.uid !== uid) throw refused(path, `belongs to user ${stats.uid}`, MOVE)
      return true
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw error
    }
  }

  return {
    folders: (root) =>
      asStoreFailure(rootOf(root), 'listed', async () => {
        const entries = await readdir(rootOf(root), { withFileTypes: true }).catch(nothingThere)
        return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
      }),

    read: (root, relative) => {
      const path = join(rootOf(root), relative)
      return asStoreFailure(path, 'read', async () => {
        const steps = relative.split('/').slice(0, -1)
        for (const index of steps.keys()) {
          if (!(await checkFolder(join(rootOf(root), ...steps.slice(0, index + 1))))) return undefined
        }
        return readFile(path, uid)
      })
    },

    rename: (path, wanted) =>
      asStoreFailure(path, 'renamed', async () => {
        const aside = await freeName(wanted)
        await rename(path, aside)
        return aside
      }),

    restore: (aside, path) =>
      asStoreFailure(aside, 'renamed', async () => {
        const isFree = await lstat(path).then(
          () => false,
          (error: unknown) => systemCode(error) === 'ENOENT',
        )
        if (isFree) await rename(aside, path)
      }),
  }
}

function foreignFolder({ env, homedir }: PathEnvironment, root: ForeignFolder): string {
  switch (root) {
    case 'mcp-use-python':
      return join(homedir, '.mcp_use', 'tokens')
    case 'mcp-use-typescript':
      return join(homedir, '.mcp-use', 'oauth')
    case 'mcp-remote':
      return env.MCP_REMOTE_CONFIG_DIR || join(homedir, '.mcp-auth')
  }
}

async function readFile(path: string, uid: number | undefined): Promise<ForeignFile | undefined> {
  // Windows has no O_NOFOLLOW.
  const isLink = await lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  )
  if (isLink) throw refused(path, 'is a symbolic link', MOVE)
  const handle = await openForReading(path, { followsLinks: false }).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (!handle) return undefined
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw refused(path, 'is not a regular file', MOVE)
    if (uid !== undefined && stats.uid !== uid) throw refused(path, `belongs to user ${stats.uid}`, MOVE)
    if (uid !== undefined && stats.nlink > 1) throw refused(path, 'has a second name (a hard link)', MOVE)
    const bytes = await readAtMost(handle, LONGEST)
    return { path, text: new TextDecoder().decode(bytes), modified: stats.mtimeMs }
  } catch (error) {
    if (error instanceof UnfitFileError) throw refused(path, `${error.message}, which no login is`, MOVE)
    throw error
  } finally {
    await handle.close()
  }
}

/** Reserved, so that nothing that was kept before is overwritten. */
async function freeName(wanted: string): Promise<string> {
  for (let number = 1; number < 1000; number++) {
    const name = number === 1 ? wanted : `${wanted}-${number}`
    try {
      await (await open(name, 'wx', 0o600)).close()
      return name
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
    }
  }
  throw new StoreFailedError({
    location: wanted,
    message: `There is no free name like ${wanted}.`,
    remedy: MOVE,
  })
}

function nothingThere(error: unknown): never[] {
  if (systemCode(error) === 'ENOENT') return []
  throw error
}
