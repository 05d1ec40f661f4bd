import type { AuthMethod, RequestSigner } from '../definitions.ts'
import { oauthSettings } from './oauth-settings.ts'
import { found, invalid, isRecord, keyPath, unexpected } from './problem.ts'

const EXPECTED =
  'a token, an object of OAuth settings, false, or something with sign(request) (basicAuth, headers, a function)'

const UNSET =
  'Is a variable not set? For OAuth with automatic registration leave `auth` out; for no authentication write false.'

/**
 * Turns the `auth` key into a method: a string is a bearer token, `false` is none, a function or an object with
 * `sign(request)` is custom, any other object is OAuth settings. A present `auth` without a value never means
 * "no auth section": it is an unset variable.
 *
 * Throws `config_invalid`.
 */
export function authMethod(value: unknown, key: string): AuthMethod {
  if (value === false) return { method: 'none' }
  if (typeof value === 'string') return { method: 'bearer', token: bearerToken(value, key) }
  if (typeof value === 'function') return { method: 'custom', sign: value as RequestSigner, label: 'custom' }
  if (value === undefined || value === null) throw unexpected(key, value, EXPECTED, UNSET)
  if (value instanceof Promise) throw unexpected(key, value, EXPECTED, 'Await it first.')
  if (!isRecord(value)) throw unexpected(key, value, EXPECTED)
  if (typeof value.sign === 'function') return customMethod(value, key)
  const keys = Object.keys(value)
  if (keys.length === 0) throw unexpected(key, value, EXPECTED, UNSET)
  if (keys.every((name) => value[name] === undefined)) {
    throw invalid(key, `found an object with nothing but undefined in it, expected ${EXPECTED}.`, UNSET)
  }
  return { method: 'oauth', settings: oauthSettings(value, key) }
}

/** Words that stand where a token was meant: unset variables in a template string, names of methods. */
const NO_TOKENS = /^(undefined|null|none|true|false|oauth|oauth2|bearer|basic)$/i

/**
 * `Bearer xyz` is taken as `xyz`: no token holds a space, so nothing else can be meant. White space around it (the
 * line end of a file it was read from) is dropped.
 */
function bearerToken(text: string, key: string): string {
  if (text.trim() === '') throw unexpected(key, text, 'a bearer token', UNSET)
  if (text.includes('${')) {
    const why = `found a "\${…}" that was not replaced, expected a bearer token.`
    throw invalid(
      key,
      why,
      'Is a variable not set? Variables are replaced in trusted files only, never in objects.',
    )
  }
  const token = text.trim().replace(/^bearer(\s+|$)/i, '')
  if (token === '' || NO_TOKENS.test(token)) {
    throw invalid(key, 'found a word that is no token, expected a bearer token.', UNSET)
  }
  if (!/^[\u0021-\u007e]+$/.test(token)) {
    throw invalid(
      key,
      'found white space or a character outside ASCII in a bearer token.',
      'For another scheme use basicAuth(user, password), or an Authorization in `headers`.',
    )
  }
  return token
}

function customMethod(value: Record<string, unknown>, key: string): AuthMethod {
  const signer = value as { sign: RequestSigner; label?: unknown }
  const { label = 'custom' } = signer
  if (typeof label !== 'string') {
    throw invalid(keyPath(key, 'label'), `found ${found(label)}, expected a string.`)
  }
  return { method: 'custom', sign: (request) => signer.sign(request), label }
}
