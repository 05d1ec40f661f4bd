import { invalid, keyPath, unexpected } from './problem.ts'

/**
 * The known keys of one entry, expanded, in an object without prototype. Keys that hold `undefined` are left out,
 * except in `auth`.
 */
export type ServerEntry = Readonly<Record<string, unknown>>

/** The largest delay a timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1

/** `disabled`, default false. Throws `config_invalid`. */
export function disabled(entry: ServerEntry, path: string): { disabled: boolean } {
  const value = entry.disabled ?? false
  if (typeof value !== 'boolean' || entry.disabled === null) {
    throw unexpected(keyPath(path, 'disabled'), entry.disabled, 'true or false')
  }
  return { disabled: value }
}

/** `timeout` in milliseconds, absent where not given. Throws `config_invalid`. */
export function timeout(entry: ServerEntry, path: string): { timeout?: number } {
  if (!('timeout' in entry)) return {}
  const key = keyPath(path, 'timeout')
  const expected = `a number of milliseconds from 1 to ${MAX_TIMEOUT}`
  const value = entry.timeout
  if (typeof value !== 'number') throw unexpected(key, value, expected)
  if (!(value >= 1 && value <= MAX_TIMEOUT)) throw invalid(key, `found ${value}, expected ${expected}.`)
  return { timeout: Math.floor(value) }
}
