import type { OAuthSettings } from '../definitions.ts'
import { checkGrant, GRANT_CHECKS, issuer } from './grant-settings.ts'
import { nearestKey } from './nearest-key.ts'
import { oauthProvider } from './oauth-provider.ts'
import { found, invalid, keyPath, quote, unexpected } from './problem.ts'
import { checkRedirectUri } from './redirect-uri.ts'
import { credential, scope, text } from './text-value.ts'
import { hasFragment, parseUrl, urlValue } from './url-value.ts'

type Name = keyof OAuthSettings

/** Every key with the function that checks its value. */
const CHECKS: { [K in Name]-?: (value: unknown, key: string) => NonNullable<OAuthSettings[K]> } = {
  client_id: credential,
  client_secret: credential,
  scope,
  callback_port: port,
  redirect_uri: (value, key) => checkRedirectUri(text(value, key), key).uri,
  client_metadata_url: clientMetadataUrl,
  resource,
  account: credential,
  offline_access: boolean,
  missing_pkce_metadata: accept('Leave it out to refuse such a server.'),
  private_addresses: accept('Leave it out to allow only addresses on the internet.'),
  dpop: boolean,
  authorization_hosts: hosts,
  oauth_provider: oauthProvider,
  issuer,
  ...GRANT_CHECKS,
}
const NAMES = Object.keys(CHECKS) as Name[]

/** Each key as it may be written: snake_case, camelCase, and Cursor's and Claude Code's own spellings. */
const SPELLINGS: ReadonlyMap<string, Name> = new Map<string, Name>([
  ...NAMES.map((name) => [name, name] as const),
  ...NAMES.map((name) => [name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()), name] as const),
  ['CLIENT_ID', 'client_id'],
  ['CLIENT_SECRET', 'client_secret'],
  ['scopes', 'scope'],
])

/**
 * Checks an object of OAuth settings: known keys, one spelling of each, a value of the right kind in every one
 * (`undefined` and `null` are unset variables), and that they fit together. Throws `config_invalid`.
 */
export function oauthSettings(value: Readonly<Record<string, unknown>>, key: string): OAuthSettings {
  const settings: Record<string, unknown> = {}
  const written = new Map<Name, string>()
  for (const [spelling, inner] of Object.entries(value)) {
    const at = keyPath(key, spelling)
    const name = SPELLINGS.get(spelling)
    if (name === undefined) throw unknownKey(spelling, at)
    const before = written.get(name)
    if (before !== undefined) {
      throw invalid(at, `the same setting as ${keyPath(key, before)}.`, `Keep \`${name}\`.`)
    }
    written.set(name, spelling)
    if (inner === undefined || inner === null) {
      throw unexpected(
        at,
        inner,
        'a value',
        'Is a variable not set? A setting that is not wanted is left out.',
      )
    }
    settings[name] = CHECKS[name](inner, at)
  }
  checkTogether(settings as OAuthSettings, key, (name) => keyPath(key, written.get(name) ?? name))
  return settings as OAuthSettings
}

function checkTogether(settings: OAuthSettings, key: string, at: (name: Name) => string): void {
  checkGrant(settings, key, at)
  if (settings.client_secret !== undefined && settings.client_id === undefined) {
    throw invalid(
      at('client_secret'),
      `a secret without ${keyPath(key, 'client_id')}.`,
      'Give both, or neither.',
    )
  }
  if (settings.redirect_uri !== undefined && settings.callback_port !== undefined) {
    const { port: inUri } = checkRedirectUri(settings.redirect_uri, at('redirect_uri'))
    if (inUri !== settings.callback_port) {
      throw invalid(
        at('callback_port'),
        `found ${settings.callback_port}, but ${at('redirect_uri')} has port ${inUri}.`,
        'Leave `callback_port` out: `redirect_uri` says it.',
      )
    }
  }
}

/** Keys of other programs and the mistakes seen most, with what to write instead. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ...['token', 'access_token', 'accessToken', 'bearer', 'bearer_token', 'api_key', 'apiKey', 'key'].map(
    (key) => [key, 'A bearer token is the value itself: "auth": "…".'] as const,
  ),
  ...['user', 'username', 'password'].map(
    (key) => [key, 'Use basicAuth(user, password), or an Authorization in `headers`.'] as const,
  ),
  ...['authorization_endpoint', 'token_endpoint', 'authorizationUrl', 'tokenUrl', 'metadata'].map(
    (key) => [key, 'Metadata known up front stands in `auth.oauth_provider.metadata`.'] as const,
  ),
  [
    'authServerMetadataUrl',
    'Put the metadata it serves into `auth.oauth_provider.metadata`, or leave it out to discover it from the server.',
  ],
])

function unknownKey(spelling: string, at: string) {
  const instead = INSTEAD.get(spelling)
  if (instead !== undefined) return invalid(at, 'unknown key.', instead)
  const nearest = nearestKey(spelling, NAMES)
  const remedy = nearest === undefined ? `Known: ${NAMES.join(', ')}.` : `Did you mean \`${nearest}\`?`
  return invalid(at, 'unknown key.', remedy)
}

function port(value: unknown, key: string): number {
  const expected = 'a whole number from 1 to 65535'
  if (typeof value !== 'number') throw unexpected(key, value, expected)
  if (!Number.isInteger(value) || value < 1 || value > 65535) {
    throw invalid(key, `found ${value}, expected ${expected}.`)
  }
  return value
}

function boolean(value: unknown, key: string): boolean {
  if (typeof value !== 'boolean') throw unexpected(key, value, 'true or false')
  return value
}

/** A Client ID Metadata Document: https, with a path (draft-ietf-oauth-client-id-metadata-document §3). */
function clientMetadataUrl(value: unknown, key: string): string {
  const written = text(value, key)
  const url = urlValue(written, key, ['https:'])
  if (url.pathname === '/' || hasFragment(written)) {
    throw invalid(key, 'expected a URL with a path and without "#…".')
  }
  return written
}

/** RFC 8707 §2: an absolute URI without fragment, sent as it is written. */
function resource(value: unknown, key: string): string {
  const written = text(value, key)
  if (written === 'off') return written
  if (!URL.canParse(written) || hasFragment(written)) {
    throw invalid(key, `found ${found(value)}, expected an absolute URI without "#…", or "off".`)
  }
  return written
}

/** Of an exception, which is made or not. */
function accept(remedy: string): (value: unknown, key: string) => 'accept' {
  return (value, key) => {
    if (value === 'accept') return value
    throw unexpected(key, value, '"accept"', remedy)
  }
}

function hosts(value: unknown, key: string): string[] {
  if (!Array.isArray(value) || value.length === 0) throw unexpected(key, value, 'a list of host names')
  return value.map((item, index) => {
    const at = keyPath(key, index)
    const host = text(item, at)
    const url = parseUrl(`https://${host}/`)
    if (!url || url.host === '' || /[\s/\\?#@]/.test(host)) {
      throw invalid(at, `${quote(host)} is no host name.`, 'Without scheme and path: "login.example.com".')
    }
    return url.host
  })
}
