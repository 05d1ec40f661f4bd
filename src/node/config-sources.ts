import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigInvalidError } from '../errors/index.ts'
import { type ConfigFile, readConfigFile } from './config-file.ts'
import { chooseConfigFile, type PathEnvironment, userConfigFile } from './paths.ts'
import type { TrustStore } from './trust-store.ts'

/** The config files of a project, as its programs call them. */
const PROJECT_FILES = ['mcp.json', '.mcp.json']

/** The files that the command reads, the nearest first. */
export interface ConfigSources {
  readonly files: readonly ConfigFile[]
  /** A file in the working directory that does not count, because nobody vouched for it. */
  readonly untrusted: string | undefined
  readonly userFile: string
}

export interface ConfigSourcesOptions {
  readonly environment: PathEnvironment
  readonly trustStore: TrustStore
  readonly workingDirectory: string
  /** `--config` */
  readonly flag?: string | undefined
}

/**
 * Chooses and reads the config files: the one that `--config` or `LATCHKEY_CONFIG` names, alone; else a trusted one in
 * the working directory and the user's own. That there is none is fine.
 *
 * @throws `config_invalid` for a file that was named and cannot be read
 */
export async function readConfigSources(options: ConfigSourcesOptions): Promise<ConfigSources> {
  const { environment, trustStore, workingDirectory, flag } = options
  const userFile = userConfigFile(environment)
  const read = (location: Parameters<typeof readConfigFile>[0]) =>
    readConfigFile(location, { environment, trustStore })
  const chosen = chooseConfigFile(environment, flag)
  if (chosen.origin !== 'default') return { files: [await read(chosen)], untrusted: undefined, userFile }

  const files: ConfigFile[] = []
  let untrusted: string | undefined
  for (const name of PROJECT_FILES) {
    const path = join(workingDirectory, name)
    if (!(await isThere(path))) continue
    const file = await read({ path, origin: 'default' }).catch(unlessUnreadable)
    if (file?.trusted) files.push(file)
    else untrusted ??= path
  }
  if (await isThere(chosen.path)) files.push(await read(chosen))
  return { files, untrusted, userFile }
}

/** Whoever left something unreadable in a folder does not keep the commands from working there: nobody vouched for it. */
function unlessUnreadable(error: unknown): undefined {
  if (!(error instanceof ConfigInvalidError)) throw error
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  )
}
