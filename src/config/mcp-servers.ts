import type { HttpServerDefinition, InvalidServer, LoadedConfig, ServerDefinition } from '../definitions.ts'
import { isLatchkeyError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import type { Warning } from '../events.ts'
import type { Environment, Expansion } from './expand.ts'
import type { HttpServerConfig } from './input.ts'
import { literalSecrets } from './literal-secrets.ts'
import { parseConfigText } from './parse.ts'
import { isRecord, keyPath, quote, unexpected } from './problem.ts'
import { nameProblem, readServer } from './server.ts'
import { findServers, type ServerTable } from './shape.ts'
import { besideFile } from './stdio-server.ts'

/** What the text of a configuration file may do. */
export interface TextOptions {
  /** The file, for messages and for `latchkey trust`. */
  readonly path: string
  readonly env: Environment
  /** `allowed`: `${VAR}` is replaced. `refused`: it is `config_untrusted`, naming `path`. */
  readonly expansion: 'allowed' | 'refused'
  /** Whether the file would be committed: literal secrets in it bring a warning. @default false */
  readonly versionControlled?: boolean
  /** Where relative files of its entries are, absolute. @default as the process finds them */
  readonly folder?: string
  /** Where its programs are started. @default the current folder */
  readonly startsIn?: string | undefined
}

/**
 * Reads a configuration object: `{ mcpServers: { … } }` (also VS Code's `servers`). Nothing is expanded.
 *
 * A server that cannot be used stands in the result as `kind: 'invalid'` with its own error. Throws `config_invalid`
 * only when there is no table of servers.
 */
export function definitionsFromDict(config: object): LoadedConfig {
  return readAll(findServers(config), { mode: 'off' })
}

/**
 * Reads the text of a configuration file: JSON with comments, in the shape of mcp-use, Claude Desktop, Claude Code,
 * Cursor, Windsurf, Gemini or VS Code.
 *
 * A server that cannot be used stands in the result as `kind: 'invalid'` with its own error (`config_invalid`,
 * `config_untrusted`). Throws `config_invalid` when the text is no JSON or holds no table of servers.
 */
export function definitionsFromText(text: string, options: TextOptions): LoadedConfig {
  const { path, env, expansion, versionControlled = false } = options
  const table = findServers(parseConfigText(text, path), path)
  const { definitions, warnings } = readAll(
    table,
    expansion === 'allowed' ? { mode: 'allowed', env } : { mode: 'refused', path },
  )
  const placed = definitions.map((each) => (each.kind === 'stdio' ? besideFile(each, options) : each))
  const loaded = { definitions: placed, warnings }
  return versionControlled
    ? { ...loaded, warnings: [...loaded.warnings, ...secretsWarning(table, path)] }
    : loaded
}

/** One warning a file, however many secrets. */
function secretsWarning(table: ServerTable, path: string): Warning[] {
  const keys = literalSecrets(table)
  if (keys.length === 0) return []
  const message = `${cleanServerText(path, 1000)} is in a git working tree and holds secrets as plain text (${keys.join(', ')}). Write "\${VARIABLE}" instead, so that they are not committed.`
  return [{ type: 'warning', code: 'secret_in_version_control', message }]
}

/**
 * Reads one server that a program passes directly (`authorizedFetch`, `login`). Without `name` its URL is its name.
 * Nothing is expanded. Throws `config_invalid`.
 */
export function definitionFromServer(
  name: string | undefined,
  server: HttpServerConfig,
): { definition: HttpServerDefinition; warnings: readonly Warning[] } {
  if (isRecord(server) && server.url === undefined) {
    throw unexpected('url', server.url, 'an https or http URL', 'Is a variable not set?')
  }
  const { definition, remarks } = readServer(name, server, '', { mode: 'off' })
  // With `url` there is no other kind; `command` beside it was refused.
  return { definition: definition as HttpServerDefinition, warnings: warningsOf(definition, '', remarks) }
}

function readAll({ path, servers }: ServerTable, expansion: Expansion): LoadedConfig {
  const definitions: (ServerDefinition | InvalidServer)[] = []
  const warnings: Warning[] = []
  for (const [name, entry] of Object.entries(servers)) {
    const at = keyPath(path, name)
    try {
      const { definition, remarks } = readServer(name, entry, at, expansion)
      definitions.push(definition)
      warnings.push(...warningsOf(definition, at, remarks))
    } catch (error) {
      if (!isLatchkeyError(error)) throw error
      const disabled = isRecord(entry) && Object.hasOwn(entry, 'disabled') && entry.disabled === true
      // A name that is itself the problem goes on escaped, so that nobody prints or stores it raw.
      definitions.push({ kind: 'invalid', name: nameProblem(name) ? quote(name) : name, error, disabled })
    }
  }
  return { definitions, warnings }
}

function warningsOf({ name }: ServerDefinition, path: string, remarks: readonly string[]): Warning[] {
  const where = path === '' ? quote(name) : path
  return remarks.map((remark) => ({
    type: 'warning',
    server: name,
    code: 'unknown_config_key',
    message: `${where}: ${remark}`,
  }))
}
