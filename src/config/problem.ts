import { ConfigInvalidError } from '../errors/index.ts'
import { escapeUnsafe, UNSAFE_CHARACTER } from '../errors/server-text.ts'

/** Names `key` inside `path`: `mcpServers.github.auth`, `mcpServers["my server"]`, `auth` where `path` is empty. */
export function keyPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`
  if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${path}[${quote(key)}]`
  return path === '' ? key : `${path}.${key}`
}

/** Text from a configuration, in quotes and harmless on a terminal: control, bidi and invisible characters are escaped. */
export function quote(text: string): string {
  return escapeUnsafe(JSON.stringify(text))
}

/** False for text with control, bidi, invisible or broken characters, which a terminal or a reader would take wrongly. */
export function isShowable(text: string): boolean {
  return !UNSAFE_CHARACTER.test(text)
}

/** What a value is, without telling it: every value of a configuration may be a secret. */
export function found(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'undefined'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : 'an array'
  if (typeof value === 'string') {
    if (value === '') return 'an empty string'
    return value.trim() === '' ? 'only white space' : 'a string'
  }
  if (typeof value === 'boolean') return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  const kind = Object.prototype.toString.call(value).slice(8, -1)
  if (kind !== 'Object') return `a ${kind}`
  return Object.keys(value).length === 0 ? 'an empty object' : 'an object'
}

/** A `config_invalid` that says where, what was found and what was expected. */
export function unexpected(
  key: string,
  value: unknown,
  expected: string,
  remedy?: string,
): ConfigInvalidError {
  return invalid(key, `found ${found(value)}, expected ${expected}.`, remedy)
}

/** A `config_invalid` about `key`; `problem` goes on after "`key`: ". */
export function invalid(key: string, problem: string, remedy?: string): ConfigInvalidError {
  return new ConfigInvalidError({
    key,
    message: `${key}: ${problem}`,
    ...(remedy === undefined ? {} : { remedy }),
  })
}

/** True for what JSON calls an object. Its members are read with `Object.hasOwn` / `Object.entries` only. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
