import type { StdioServerDefinition } from '../definitions.ts'
import { invalid, isRecord, keyPath, unexpected } from './problem.ts'
import { disabled, type ServerEntry, timeout } from './server-entry.ts'

/** An entry with a `command`. Its files (`cwd`, `envFile`) are neither resolved nor read here. Throws `config_invalid`. */
export function stdioServer(
  name: string | undefined,
  entry: ServerEntry,
  path: string,
): StdioServerDefinition {
  const command = text(entry.command, keyPath(path, 'command'))
  if ('type' in entry && entry.type !== 'stdio') {
    throw unexpected(keyPath(path, 'type'), entry.type, '"stdio" beside `command`')
  }
  for (const key of ['auth', 'oauth']) {
    if (key in entry) {
      const remedy = 'A server started by a command takes its credentials from `env`.'
      throw invalid(keyPath(path, key), 'stands beside `command`, expected `url`.', remedy)
    }
  }
  return {
    kind: 'stdio',
    name: name ?? command,
    command,
    args: args(entry.args ?? [], keyPath(path, 'args')),
    env: env(entry.env ?? {}, keyPath(path, 'env')),
    ...('envFile' in entry ? { envFile: text(entry.envFile, keyPath(path, 'envFile')) } : {}),
    ...('cwd' in entry ? { cwd: text(entry.cwd, keyPath(path, 'cwd')) } : {}),
    ...disabled(entry, path),
    ...timeout(entry, path),
  }
}

/**
 * With its files where the config file is: in the folder where a command is run anybody may have put one of that name. So it
 * is with the folder itself, unless `startsIn` leaves it open.
 */
export function besideFile(
  definition: StdioServerDefinition,
  { folder, startsIn }: { folder?: string; startsIn?: string | undefined },
): StdioServerDefinition {
  if (folder === undefined) return definition
  const beside = (path: string) => (/^([/\\]|[A-Za-z]:)/.test(path) ? path : `${folder}/${path}`)
  const { envFile, cwd } = definition
  const start = cwd === undefined ? startsIn : beside(cwd)
  return {
    ...definition,
    ...(envFile !== undefined && { envFile: beside(envFile) }),
    ...(start !== undefined && { cwd: start }),
  }
}

function text(value: unknown, key: string): string {
  if (typeof value !== 'string' || value.trim() === '') throw unexpected(key, value, 'a non-empty string')
  return withoutNul(value, key)
}

/** No operating system passes a NUL to a program. */
function withoutNul(value: string, key: string): string {
  if (value.includes('\0')) throw invalid(key, 'found a NUL character, expected none.')
  return value
}

function args(value: unknown, key: string): string[] {
  if (!Array.isArray(value)) throw unexpected(key, value, 'a list of strings')
  return value.map((item, index) => {
    const at = keyPath(key, index)
    if (typeof item !== 'string') throw unexpected(at, item, 'a string')
    return withoutNul(item, at)
  })
}

/** Numbers and booleans are written as their text, as every host does. */
function env(value: unknown, key: string): Record<string, string> {
  if (!isRecord(value)) throw unexpected(key, value, 'an object of strings by variable name')
  const variables: Record<string, string> = Object.create(null)
  for (const [name, inner] of Object.entries(value)) {
    const at = keyPath(key, name)
    if (!/^[^=\0]+$/.test(name)) throw invalid(at, 'not a variable name.')
    if (!['string', 'number', 'boolean'].includes(typeof inner)) throw unexpected(at, inner, 'a string')
    variables[name] = withoutNul(String(inner), at)
  }
  return variables
}
