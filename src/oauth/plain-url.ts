import { UNSAFE_CHARACTER } from '../errors/server-text.ts'
import { isUrl } from '../errors/shown-url.ts'

/** Scheme, host, and perhaps a path or query: no user info, not even an empty one; no fragment. */
const PLAIN = /^https?:\/\/[^\s/?#@\\]+([/?][^\s#\\]*)?$/i

/**
 * Whether a URL reads alike to everybody. What is shown, stored or sent verbatim must not name one host to a person, or to
 * another parser, and another host to us: `https://victim.example@evil.example`, `https://evil.example\@victim.example`.
 */
export function isPlainUrl(text: string): boolean {
  return isUrl(text) && PLAIN.test(text) && !UNSAFE_CHARACTER.test(text)
}

/** An issuer identifier has neither query nor fragment (RFC 8414 §2). */
export function isIssuer(text: string): boolean {
  return isPlainUrl(text) && !text.includes('?')
}
