import { lstat, readFile, realpath } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ConfigInvalidError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { type ConfigLocation, hostConfigFiles, type PathEnvironment, userConfigFile } from './paths.ts'
import { systemCode } from './store-folder-error.ts'
import { type TrustStore, whyUntrustworthy } from './trust-store.ts'

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
}

export interface ReadConfigFileOptions {
  environment: PathEnvironment
  trustStore: TrustStore
}

/**
 * Reads a config file and finds out what it may do. Throws `config_invalid` when it cannot be read, saying where it was
 * looked for; a file that other users can write is never trusted, wherever it is.
 */
export async function readConfigFile(
  location: ConfigLocation,
  { environment, trustStore }: ReadConfigFileOptions,
): Promise<ConfigFile> {
  const path = resolve(location.path)
  const text = await readText(path, location, environment)
  const real = await realpath(path)
  return {
    path,
    text,
    trusted: (await isUsersOwn(real, environment)) || (await trustStore.isTrusted(real, text)),
    versionControlled: await isInWorkingTree(dirname(real)),
  }
}

async function readText(
  path: string,
  location: ConfigLocation,
  environment: PathEnvironment,
): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (error) {
    const code = systemCode(error)
    const found =
      code === 'ENOENT' ? 'does not exist' : code ? `could not be read (${code})` : 'is not UTF-8 text'
    throw new ConfigInvalidError({
      key: location.origin === 'default' ? path : location.origin,
      message: `The config file ${cleanServerText(path, 1000)} ${found}${named(location)}.`,
      remedy:
        code === 'ENOENT'
          ? `Create it, or name another file with --config or LATCHKEY_CONFIG (default: ${userConfigFile(environment)}).`
          : 'Expected a readable JSON file with `mcpServers`.',
      cause: error,
    })
  }
}

function named({ origin }: ConfigLocation): string {
  return origin === 'default' ? '' : `; ${origin} names it`
}

/** Links are followed on both sides: a home directory may be one, and so may a file kept with other dotfiles. */
async function isUsersOwn(real: string, environment: PathEnvironment): Promise<boolean> {
  for (const candidate of [userConfigFile(environment), ...hostConfigFiles(environment)]) {
    if (real === (await realpath(candidate).catch(() => undefined))) {
      // Trusted for its place alone, so the place has to be safe as well.
      const doubts = await Promise.all([whyUntrustworthy(real), whyUntrustworthy(dirname(real))])
      return doubts.every((doubt) => doubt === undefined)
    }
  }
  return false
}

async function isInWorkingTree(folder: string): Promise<boolean> {
  // A folder in a clone, a file in a worktree or submodule.
  if (await lstat(join(folder, '.git')).catch(() => undefined)) return true
  const parent = dirname(folder)
  return parent !== folder && isInWorkingTree(parent)
}
