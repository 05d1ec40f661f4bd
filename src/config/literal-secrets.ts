import { isRecord, keyPath } from './problem.ts'
import type { ServerTable } from './shape.ts'

const SECRET_KEY = /secret|token|password|api_?-?key|authorization|private_?key|^assertion$/i
/** Where a secret is, not what it is. */
const PLACE_KEY = /(_file|_env|_command|_endpoint|_audience|File|Env|Command|Endpoint|Audience)$/

/**
 * Where a config file holds secrets as plain text, as key paths; a value that comes from a variable is none. For
 * files under version control, where they would be committed.
 */
export function literalSecrets(table: ServerTable): string[] {
  return Object.entries(table.servers).flatMap(([name, entry]) => {
    if (!isRecord(entry)) return []
    const at = keyPath(table.path, name)
    const { auth } = entry
    return [
      ...(isLiteral(auth) ? [keyPath(at, 'auth')] : []),
      ...['auth', 'oauth', 'headers', 'env'].flatMap((key) => secretMembers(entry[key], keyPath(at, key))),
    ]
  })
}

function secretMembers(value: unknown, path: string): string[] {
  if (!isRecord(value)) return []
  return Object.entries(value).flatMap(([key, member]) => {
    if (key === 'idp') return secretMembers(member, keyPath(path, key))
    return SECRET_KEY.test(key) && !PLACE_KEY.test(key) && isLiteral(member) ? [keyPath(path, key)] : []
  })
}

function isLiteral(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '' && !value.includes('${')
}
