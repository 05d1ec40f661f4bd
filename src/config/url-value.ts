import { invalid, unexpected } from './problem.ts'

/** Parses an absolute URL without user info. Throws `config_invalid`; the URL is not shown, its query may be secret. */
export function urlValue(value: unknown, key: string, protocols: readonly string[]): URL {
  const expected = `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  if (typeof value !== 'string' || value.trim() === '') throw unexpected(key, value, expected)
  const url = parseUrl(value)
  if (!url) throw invalid(key, `found a string that is no absolute URL, expected ${expected}.`)
  if (!protocols.includes(url.protocol)) {
    // `localhost:3000/mcp` is a valid URL of the scheme `localhost:`.
    throw invalid(key, `found a URL with the scheme "${url.protocol}", expected ${expected}.`)
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(
      key,
      'found a user name or password in the URL, expected none.',
      'Give credentials as `auth`: a token, basicAuth(user, password), or an Authorization in `headers`.',
    )
  }
  return url
}

/** An https URL, or http on this machine: what RFC 6749 §3.1.2.1 and RFC 8414 §2 ask of endpoints. */
export function secureUrl(value: unknown, key: string): URL {
  const url = urlValue(value, key, ['https:', 'http:'])
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw invalid(key, 'found an http URL, expected https (http only on localhost, 127.0.0.1 or [::1]).')
  }
  if (hasFragment(value as string)) throw invalid(key, 'found a fragment ("#…") in the URL, expected none.')
  return url
}

/** True for a URL with a `#`, even an empty one, which `URL` does not show. */
export function hasFragment(text: string): boolean {
  return text.includes('#')
}

/** True for the host names that never leave this machine; `hostname` as `URL` writes it. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** `URL.parse`, which Node 20 does not have. */
export function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
