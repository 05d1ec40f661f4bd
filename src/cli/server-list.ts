import { definitionsFromText } from '../config/mcp-servers.ts'
import type { InvalidServer, LoadedConfig, ServerDefinition } from '../definitions.ts'
import type { Warning } from '../events.ts'
import type { CommandIo } from './io.ts'
import type { ConfigFiles } from './parts.ts'

/** Every server of all config files that count, and what is to be said of each. */
export interface ServerList extends LoadedConfig {
  readonly definitions: readonly (ServerDefinition | InvalidServer)[]
  readonly untrusted: string | undefined
  readonly userFile: string
  readonly paths: readonly string[]
}

/** Reads the servers; of two with one name that of the nearer file counts. @throws `config_invalid` for a whole file */
export function readServerList(
  { files, untrusted, userFile }: ConfigFiles,
  env: CommandIo['env'],
): ServerList {
  const definitions: (ServerDefinition | InvalidServer)[] = []
  const warnings: Warning[] = []
  for (const file of files) {
    const expansion = file.trusted ? 'allowed' : 'refused'
    const loaded = definitionsFromText(file.text, { ...file, env, expansion })
    const fresh = loaded.definitions.filter(({ name }) => definitions.every((other) => other.name !== name))
    definitions.push(...fresh)
    warnings.push(...loaded.warnings)
  }
  return { definitions, warnings, untrusted, userFile, paths: files.map(({ path }) => path) }
}
