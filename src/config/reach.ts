import { SOURCE_KEY, VOUCHING_KEY, variablesIn } from './expand.ts'
import { parseConfigText } from './parse.ts'
import { isRecord, keyPath } from './problem.ts'
import { KNOWN_KEYS, placeOf } from './server.ts'
import { findServers } from './shape.ts'
import { parseUrl } from './url-value.ts'

/** What one server of a config file reaches on this machine and beyond, once the file is trusted. */
export interface ServerReach {
  readonly server: string
  /** Whom it has requests sent to, with the port where one is named. */
  readonly hosts: readonly string[]
  /** Variables of the environment whose values it gets. */
  readonly variables: readonly string[]
  /** Programs that are started, each with its arguments as they are written. */
  readonly programs: readonly (readonly string[])[]
  readonly files: readonly string[]
  /** Variables that its program is given: some choose what is run (`PATH`, `NODE_OPTIONS`). */
  readonly sets: readonly string[]
  /** Where its program is started, where the entry says so. */
  readonly folders: readonly string[]
  /** Settings that stand above what servers say of themselves, as key paths. */
  readonly vouches: readonly string[]
}

/**
 * What the person vouches for with a file, server by server, read from the text itself: also of servers that could not be
 * used. Throws `config_invalid` when the text is no JSON or holds no table of servers.
 */
export function reachOf(text: string, path: string): ServerReach[] {
  const table = findServers(parseConfigText(text, path), path)
  return Object.entries(table.servers).map(([server, entry]) => {
    const reach = { hosts: [], variables: [], programs: [], files: [], sets: [], folders: [], vouches: [] }
    if (!isRecord(entry)) return { server, ...reach }
    if (typeof entry.command === 'string') note(reach.programs, [entry.command, ...strings(entry.args)])
    for (const key of KNOWN_KEYS) if (Object.hasOwn(entry, key)) look(entry[key], key, key, reach)
    return { server, ...reach }
  })
}

type Found = { [Name in keyof Omit<ServerReach, 'server'>]: ServerReach[Name][number][] }

/** Keys have a meaning of their own at the top of an entry and below `auth`; those of `headers` and `env` are just names. */
function look(value: unknown, key: string, path: string, found: Found): void {
  if (VOUCHING_KEY.test(key)) note(found.vouches, path)
  if (path === 'cwd') note(found.folders, String(value))
  if (SOURCE_KEY.test(key)) lookAtSource(value, key, found)
  if (typeof value === 'string' || Array.isArray(value)) {
    for (const text of typeof value === 'string' ? [value] : strings(value)) {
      lookAtText(text, found)
      lookAtAddress(text, key, found)
    }
  } else if (key === 'headers' || key === 'env') {
    if (!isRecord(value)) return
    for (const text of Object.values(value)) lookAtText(text, found)
    if (key === 'env') for (const name of Object.keys(value)) note(found.sets, name)
  } else if (isRecord(value)) {
    for (const [member, inner] of Object.entries(value)) look(inner, member, keyPath(path, member), found)
  }
}

function lookAtText(value: unknown, { variables }: Found): void {
  if (typeof value === 'string') for (const variable of variablesIn(value)) note(variables, variable)
}

/** A variable in a host is refused even in a trusted file. */
function lookAtAddress(text: string, key: string, { hosts }: Found): void {
  const place = placeOf(key)
  const host = place === 'host' ? text : place === 'url' ? parseUrl(text)?.host : undefined
  if (host && !host.includes('${')) note(hosts, host)
}

function lookAtSource(value: unknown, key: string, { variables, programs, files }: Found): void {
  if (/command$/i.test(key)) note(programs, strings(value))
  else if (typeof value === 'string') note(/file$/i.test(key) ? files : variables, value)
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function note<T>(list: T[], item: T): void {
  if (!list.includes(item)) list.push(item)
}
