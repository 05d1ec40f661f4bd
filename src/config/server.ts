import type { ServerDefinition } from '../definitions.ts'
import { assertMayStart, assertTrusted, type Expansion, expand, type Place } from './expand.ts'
import { httpServer } from './http-server.ts'
import { nearestKey } from './nearest-key.ts'
import { invalid, isRecord, isShowable, keyPath, quote, unexpected } from './problem.ts'
import type { ServerEntry } from './server-entry.ts'
import { stdioServer } from './stdio-server.ts'

/** `serverUrl` is Windsurf's spelling, `httpUrl` Gemini's for Streamable HTTP; `oauth` is Claude Code's and VS Code's. */
const HTTP_KEYS = ['url', 'serverUrl', 'httpUrl', 'headers', 'auth', 'oauth']
const STDIO_KEYS = ['command', 'args', 'env', 'cwd', 'envFile']
/** Everything of an entry that has an effect. */
export const KNOWN_KEYS: readonly string[] = ['type', 'disabled', 'timeout', ...HTTP_KEYS, ...STDIO_KEYS]

/** A definition and what a person should hear about its entry. */
export interface ReadServer {
  readonly definition: ServerDefinition
  /** Sentences without the server's name. */
  readonly remarks: readonly string[]
}

/**
 * Turns one entry into a definition. `name` is `undefined` for a server that has none: its URL stands for it.
 * Throws `config_invalid` and `config_untrusted`; `path` is where the entry stands, for messages.
 */
export function readServer(
  name: string | undefined,
  value: unknown,
  path: string,
  expansion: Expansion,
): ReadServer {
  if (!isRecord(value)) throw unexpected(path || 'server', value, 'an object with `url` or `command`')
  const problem = name === undefined ? undefined : nameProblem(name)
  if (problem !== undefined) throw invalid(path || 'name', problem, 'Rename the server.')
  const entry = knownEntry(value, path, expansion)
  const urlKeys = ['url', 'serverUrl', 'httpUrl'].filter((key) => key in entry)
  const isStdio = 'command' in entry
  if (urlKeys.length > 1 || (urlKeys[0] !== undefined && isStdio)) {
    const keys = [...urlKeys, ...(isStdio ? ['command'] : [])]
    throw invalid(keyPath(path, keys[1]!), `stands beside \`${keys[0]}\`, expected one of them.`)
  }
  if (urlKeys.length === 0 && !isStdio) throw noAddress(value, path)
  if (isStdio) assertMayStart(keyPath(path, 'command'), expansion)
  const { unknownKeys, remarks } = lookAtRest(value, isStdio ? HTTP_KEYS : STDIO_KEYS)
  const read = isStdio ? stdioServer(name, entry, path) : httpServer(name, entry, urlKeys[0]!, path)
  return { definition: unknownKeys === undefined ? read : { ...read, unknownKeys }, remarks }
}

function knownEntry(value: Record<string, unknown>, path: string, expansion: Expansion): ServerEntry {
  const entry: Record<string, unknown> = Object.create(null)
  for (const key of KNOWN_KEYS) {
    if (!Object.hasOwn(value, key)) continue
    const inAuth = key === 'auth' || key === 'oauth'
    // A program may leave a key undefined; in `auth` it is an unset variable and must be seen.
    if (value[key] === undefined && !inAuth) continue
    const place = placeOf(key)
    if (inAuth) assertTrusted(value[key], keyPath(path, key), expansion)
    entry[key] = expand(value[key], keyPath(path, key), expansion, place, inAuth ? placeOf : () => place)
  }
  return entry
}

/** What kind of text a key holds. `resource` is only a name (`api://…`): nothing is sent to it. */
export function placeOf(key: string): Place {
  if (key === 'authorization_hosts' || key === 'authorizationHosts') return 'host'
  return /(url|uri|issuer|endpoint)$/i.test(key) ? 'url' : 'text'
}

/**
 * Why a name cannot be used, or `undefined`. A name is shown, typed and used as a key: nothing invisible, and not the
 * one key that a plain object cannot hold.
 */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === '') return 'an empty server name, expected a word to call it by.'
  if (!isShowable(name)) return 'a server name with control or invisible characters, expected none.'
  if (name === '__proto__') return 'not usable as a server name.'
  return undefined
}

function noAddress(value: Record<string, unknown>, path: string) {
  const unset = ['url', 'command'].find((key) => Object.hasOwn(value, key))
  if (unset !== undefined) {
    return unexpected(keyPath(path, unset), undefined, 'a string', 'Is a variable not set?')
  }
  const near = Object.keys(value).find((key) => nearestKey(key, ['url', 'command']) !== undefined)
  return invalid(
    path || 'server',
    'neither `url` nor `command`, expected one of them.',
    near === undefined
      ? undefined
      : `Did you mean \`${nearestKey(near, ['url', 'command'])}\` by ${quote(near)}?`,
  )
}

/** So many unknown keys of one server are named: each is compared with all that are known. */
const MOST_NAMED = 20

function lookAtRest(value: Record<string, unknown>, withoutEffect: readonly string[]) {
  const remarks: string[] = []
  const unknown = Object.entries(value).filter(([key]) => !KNOWN_KEYS.includes(key))
  if (unknown.length > 0) {
    const names = unknown.slice(0, MOST_NAMED).map(([key]) => {
      const nearest = nearestKey(key, KNOWN_KEYS)
      return nearest === undefined ? quote(key) : `${quote(key)} (did you mean ${quote(nearest)}?)`
    })
    const more = unknown.length - names.length
    remarks.push(`not known and ignored: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`)
  }
  const idle = withoutEffect.filter((key) => Object.hasOwn(value, key) && value[key] !== undefined)
  const kind = withoutEffect === HTTP_KEYS ? '`command`' : '`url`'
  if (idle.length > 0) {
    remarks.push(`without effect beside ${kind}: ${idle.map(quote).join(', ')}.`)
  }
  return { remarks, unknownKeys: unknown.length === 0 ? undefined : Object.fromEntries(unknown) }
}
