import { lstat, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ConfigInvalidError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { isOpenToOthers, isOwnOrRoots, stepsTo } from './path-steps.ts'
import { type ConfigLocation, hostConfigFiles, type PathEnvironment, userConfigFile } from './paths.ts'
import { type PlainFile, readNamedFile, readPlainFile, UnfitFileError } from './plain-file.ts'
import { systemCode } from './store-folder-error.ts'
import type { TrustStore } from './trust-store.ts'

/** The files of some programs hold their whole history. */
const LONGEST = 64 * 1024 * 1024

/** A config file as the config room takes it. */
export interface ConfigFile {
  /** Absolute, as it was given: for messages. */
  readonly path: string
  /** Without a byte order mark. */
  readonly text: string
  /** Whether `${VAR}` may be expanded: the user's own file, a known program's user-level file, or `latchkey trust`. */
  readonly trusted: boolean
  /** Whether it lies in a working tree of git, where a literal secret would be committed. */
  readonly versionControlled: boolean
  /** Where relative files of its entries are. */
  readonly folder: string
  /** Where its programs are started; undefined: in the current folder. */
  readonly startsIn: string | undefined
}

export interface ReadConfigFileOptions {
  environment: PathEnvironment
  trustStore: TrustStore
}

/**
 * Reads a config file and finds out what it may do. Throws `config_invalid` when it cannot be read, saying where it was
 * looked for; a file of the user's own that others could write or exchange is not trusted for its place.
 */
export async function readConfigFile(
  location: ConfigLocation,
  { environment, trustStore }: ReadConfigFileOptions,
): Promise<ConfigFile> {
  const path = resolve(location.path)
  const { real, text, isPipe, ...file } = await readText(path, location, environment)
  const isOwn = await isUsersOwn({ real, ...file }, environment)
  const folder = isPipe ? process.cwd() : isOwn ? dirname(path) : projectOf(real)
  return {
    path,
    text,
    trusted: isOwn || (await trustStore.isTrusted(real, text)),
    versionControlled: await isInWorkingTree(dirname(real)),
    folder,
    startsIn: isOwn || isPipe ? undefined : folder,
  }
}

/** The file that was read: its path without links, and which one it is. */
interface OpenedFile {
  readonly real: string
  readonly isPipe: boolean
  readonly dev: number
  readonly ino: number
}

/** Folders of editors, which are in a project. */
const EDITORS = ['.vscode', '.cursor', '.gemini']

/** The folder of a project's file. Not that of a link to it: what lies beside the link is not what was trusted. */
function projectOf(real: string): string {
  const folder = dirname(real)
  return EDITORS.includes(basename(folder)) ? dirname(folder) : folder
}

/** Links are followed once, before the file is opened: where it is trusted as, there it was read. */
async function readText(
  path: string,
  location: ConfigLocation,
  environment: PathEnvironment,
): Promise<OpenedFile & { text: string }> {
  let found = 'is not UTF-8 text'
  let remedy = 'Expected a readable JSON file with `mcpServers`.'
  try {
    const { bytes, ...file } = await readBytes(path, location)
    return { ...file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') {
      found = 'does not exist'
      remedy = `Create it, or name another file with --config or LATCHKEY_CONFIG (default: ${userConfigFile(environment)}).`
    } else if (code !== undefined) found = `could not be read (${code})`
    else if (error instanceof UnfitFileError) found = error.message
    throw new ConfigInvalidError({
      key: location.origin === 'default' ? path : location.origin,
      message: `The config file ${cleanServerText(path, 1000)} ${found}${named(location)}.`,
      remedy,
      cause: error,
    })
  }
}

async function readBytes(path: string, { origin }: ConfigLocation): Promise<PlainFile & OpenedFile> {
  if ((await stat(path)).isFIFO()) {
    if (origin === 'default') throw new UnfitFileError('is a pipe; save what it brings in a file')
    // A pipe of the shell, `<(program)`, has no path without links.
    return { real: path, isPipe: true, ...(await readNamedFile(path, { limit: LONGEST })) }
  }
  const real = await realpath(path)
  return { real, isPipe: false, ...(await readPlainFile(real, { limit: LONGEST, followsLinks: false })) }
}

function named({ origin }: ConfigLocation): string {
  return origin === 'default' ? '' : `; ${origin} names it`
}

/** Links are followed on both sides: a home directory may be one, and so may a file kept with other dotfiles. */
async function isUsersOwn(
  { real, dev, ino }: Omit<OpenedFile, 'isPipe'>,
  environment: PathEnvironment,
): Promise<boolean> {
  for (const candidate of [userConfigFile(environment), ...hostConfigFiles(environment)]) {
    if (real !== (await realpath(candidate).catch(() => undefined))) continue
    // Trusted for its place alone: nobody else may be able to put another file, folder or link there.
    const uid = process.geteuid?.()
    if (uid === undefined) return true
    const { steps } = stepsTo(candidate)
    const { stats } = steps.at(-1)!
    return (
      stats.dev === dev &&
      stats.ino === ino &&
      steps.every((step) => isOwnOrRoots(step.stats.uid, uid) && !isOpenToOthers(step.stats))
    )
  }
  return false
}

async function isInWorkingTree(folder: string): Promise<boolean> {
  // A folder in a clone, a file in a worktree or submodule.
  if (await lstat(join(folder, '.git')).catch(() => undefined)) return true
  const parent = dirname(folder)
  return parent !== folder && isInWorkingTree(parent)
}
