import type { RequestSigner } from '../definitions.ts'
import { headerFields } from './header-fields.ts'
import { invalid, unexpected } from './problem.ts'

/** Anything that can sign a request in its own way: what {@link basicAuth} and {@link headers} return. */
export interface CustomAuth {
  /** Sets a header, adds a signature. Gets a fresh `Request`, returns the one to send. */
  sign: RequestSigner
  /** Shown by `status`: never a secret. @default 'custom' */
  label?: string | undefined
}

/**
 * Basic authentication (RFC 7617), UTF-8. Throws `config_invalid` when the user is missing or holds a `:`, or either
 * holds a control character. An empty password is fine (API keys that go as the user).
 */
export function basicAuth(user: string, password: string): CustomAuth {
  for (const [key, value] of Object.entries({ user, password })) {
    const at = `basicAuth(${key})`
    if (typeof value !== 'string' || (key === 'user' && value.trim() === '')) {
      throw unexpected(at, value, 'a string', 'Is a variable not set?')
    }
    if (/[\u0000-\u001f\u007f]/.test(value)) throw invalid(at, 'found a control character, expected none.')
  }
  if (user.includes(':')) throw invalid('basicAuth(user)', 'found ":", which ends the user name.')
  const bytes = new TextEncoder().encode(`${user}:${password}`)
  const credential = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  return signWith('basic', { Authorization: `Basic ${credential}` })
}

/**
 * Sends these header fields with every request: `headers({ 'X-API-Key': key })`. Unlike the server's `headers` they
 * are its credential: OAuth is not tried. Throws `config_invalid`.
 */
export function headers(fields: Record<string, string>): CustomAuth {
  const checked = headerFields(fields, 'headers()')
  const empty = Object.keys(checked).find((name) => checked[name] === '')
  if (empty !== undefined) {
    throw unexpected(`headers().${empty}`, '', 'a credential', 'Is a variable not set?')
  }
  if (Object.keys(checked).length === 0) throw unexpected('headers()', fields, 'at least one header')
  return signWith('headers', checked)
}

/** The values stay in a closure, so that printing the configuration shows none of them. */
function signWith(label: string, fields: Readonly<Record<string, string>>): CustomAuth {
  return {
    label,
    sign: (request) => {
      for (const [name, value] of Object.entries(fields)) request.headers.set(name, value)
      return request
    },
  }
}
