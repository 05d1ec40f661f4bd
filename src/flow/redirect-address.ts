import type { OAuthSettings } from '../definitions.ts'
import type { RedirectAddress } from '../ports.ts'

const DEFAULT_CALLBACK_PORT = 8080
const CALLBACK_PATH = '/callback'
/** Where a dynamic client goes when 8080 is taken: these, then any. */
const NEXT_PORTS = Array.from({ length: 19 }, (_, index) => 8081 + index)

/**
 * Where the authorization response is to arrive. A client whose redirect URI is registered or published somewhere by
 * hand, or whose port the user set, gets exactly that; a dynamic one prefers the ports it is registered with already.
 */
export function redirectAddress(settings: OAuthSettings, registeredUris: readonly string[]): RedirectAddress {
  if (settings.redirect_uri !== undefined) {
    const { hostname, port, pathname } = new URL(settings.redirect_uri)
    return {
      host: hostname as RedirectAddress['host'],
      port: Number(port || 80),
      path: pathname,
      alternatives: [],
    }
  }
  const address = { host: 'localhost', path: CALLBACK_PATH } as const
  const { callback_port: pinned, client_id, client_metadata_url } = settings
  if (pinned !== undefined || client_id !== undefined || client_metadata_url !== undefined) {
    return { ...address, port: pinned ?? DEFAULT_CALLBACK_PORT, alternatives: [] }
  }
  const registered = registeredUris
    .filter((uri) => uri.startsWith('http://localhost:') && uri.endsWith(CALLBACK_PATH))
    .map((uri) => Number(new URL(uri).port))
  const [port, ...others] = [...new Set([...registered, DEFAULT_CALLBACK_PORT, ...NEXT_PORTS])]
  return { ...address, port: port!, alternatives: [...others, 'any'] }
}
