import { invalid } from './problem.ts'
import { isLoopback, parseUrl } from './url-value.ts'

/** A loopback redirect URI (RFC 8252 §7.3) and what is needed to listen on it. */
export interface LoopbackRedirectUri {
  /** Byte for byte as it was written: it is registered and compared as a string. */
  readonly uri: string
  readonly host: 'localhost' | '127.0.0.1' | '[::1]'
  readonly port: number
  readonly path: string
}

/** Takes apart a `redirect_uri`: http, a loopback host, a port and a path, all written out. Throws `config_invalid`. */
export function checkRedirectUri(uri: string, key: string): LoopbackRedirectUri {
  const parts = /^http:\/\/(localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})(\/[!-~]*)$/.exec(uri)
  const [, host, digits, path] = parts ?? []
  const port = Number(digits)
  const canonical =
    path !== undefined && !/[?#]/.test(path) && parseUrl(uri)?.pathname === path && String(port) === digits
  if (!canonical || port < 1 || port > 65535) {
    throw invalid(
      key,
      'not a loopback redirect URI, expected http, then localhost, 127.0.0.1 or [::1], a port and a path.',
      'For example http://localhost:8080/callback; for another port alone set `callback_port`.',
    )
  }
  return { uri, host: host as LoopbackRedirectUri['host'], port, path }
}

/** The redirect URI of a web application: https, or http on loopback while it is developed. Throws `config_invalid`. */
export function checkWebRedirectUri(uri: string): void {
  const url = parseUrl(uri)
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
  if (isSafe && !uri.includes('#') && !url.username && !url.password) return
  throw invalid(
    'options.redirectUri',
    'not the redirect URI of a web application, expected https (or http on loopback), without a fragment.',
    'For example https://app.example.com/callback, exactly as it is registered.',
  )
}
