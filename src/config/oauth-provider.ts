import type { OAuthProvider, ProviderMetadata } from '../definitions.ts'
import { nearestKey } from './nearest-key.ts'
import { invalid, isRecord, keyPath, quote, unexpected } from './problem.ts'
import { secureUrl } from './url-value.ts'

const SPELLINGS: ReadonlyMap<string, keyof OAuthProvider> = new Map([
  ['id', 'id'],
  ['display_name', 'display_name'],
  ['displayName', 'display_name'],
  ['metadata', 'metadata'],
])

const REQUIRED = ['issuer', 'authorization_endpoint', 'token_endpoint'] as const
const STRING_LISTS = [
  'code_challenge_methods_supported',
  'token_endpoint_auth_methods_supported',
  'scopes_supported',
  'response_types_supported',
  'grant_types_supported',
]

/** Checks `oauth_provider`: what the person vouches for instead of discovery. Throws `config_invalid`. */
export function oauthProvider(value: unknown, key: string): OAuthProvider {
  if (!isRecord(value)) throw unexpected(key, value, 'an object {id, display_name, metadata}')
  const provider: { id?: string; display_name?: string } = {}
  let metadata: unknown
  const written = new Map<string, string>()
  for (const [spelling, inner] of Object.entries(value)) {
    const at = keyPath(key, spelling)
    const name = SPELLINGS.get(spelling)
    if (name === undefined) throw unknownKey(spelling, at)
    const before = written.get(name)
    if (before !== undefined)
      throw invalid(at, `the same key as ${keyPath(key, before)}.`, `Keep \`${name}\`.`)
    written.set(name, spelling)
    if (name === 'metadata') metadata = inner
    else provider[name] = label(inner, at)
  }
  return { ...provider, metadata: providerMetadata(metadata, keyPath(key, 'metadata')) }
}

function unknownKey(spelling: string, at: string) {
  if (/_(endpoint|supported|uri)$|^issuer$/.test(spelling)) {
    return invalid(at, 'unknown key.', 'It belongs into `metadata`, one level deeper.')
  }
  const nearest = nearestKey(spelling, new Set(SPELLINGS.values()))
  return invalid(
    at,
    'unknown key.',
    nearest === undefined ? 'Known: id, display_name, metadata.' : `Did you mean \`${nearest}\`?`,
  )
}

function label(value: unknown, key: string): string {
  if (typeof value !== 'string' || value.trim() === '') throw unexpected(key, value, 'a non-empty string')
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value))
    throw invalid(key, 'found a control character, expected none.')
  return value
}

/**
 * RFC 8414 §2 metadata: three members required, every `*_endpoint` an https URL (http on loopback). `null` counts as
 * absent, since documents copied from a server have it; members we do not know are kept.
 */
function providerMetadata(value: unknown, key: string): ProviderMetadata {
  if (!isRecord(value)) throw unexpected(key, value, `an object with ${REQUIRED.join(', ')}`)
  const members = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined)
  const metadata = Object.fromEntries(members)
  for (const name of REQUIRED) {
    if (!Object.hasOwn(metadata, name)) throw missing(name, value, key)
  }
  for (const [name, inner] of members) {
    const at = keyPath(key, name)
    if (name === 'issuer') checkIssuer(inner, at)
    else if (/_(endpoint|uri)$/.test(name)) secureUrl(inner, at)
    else if (STRING_LISTS.includes(name)) checkStrings(inner, at)
  }
  checkPkce(metadata, key)
  const iss = 'authorization_response_iss_parameter_supported'
  if (Object.hasOwn(metadata, iss) && typeof metadata[iss] !== 'boolean') {
    throw unexpected(keyPath(key, iss), metadata[iss], 'true or false')
  }
  return metadata as ProviderMetadata
}

function missing(name: string, metadata: Record<string, unknown>, key: string) {
  const written = Object.keys(metadata).find(
    (other) => other !== name && nearestKey(other, [name]) !== undefined,
  )
  const remedy =
    written === undefined
      ? `Copy it from the server's /.well-known/oauth-authorization-server or openid-configuration.`
      : `Rename ${quote(written)} to \`${name}\`: metadata keeps its spelling on the wire.`
  if (Object.hasOwn(metadata, name)) return unexpected(keyPath(key, name), metadata[name], 'a URL', remedy)
  return invalid(keyPath(key, name), 'missing, expected a URL.', remedy)
}

/** RFC 8414 §2: no query, no fragment. It stays a string: issuers are compared byte for byte. */
function checkIssuer(value: unknown, key: string): void {
  secureUrl(value, key)
  if ((value as string).includes('?'))
    throw invalid(key, 'found a query ("?…") in the issuer, expected none.')
}

function checkStrings(value: unknown, key: string): void {
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
    throw unexpected(key, value, 'a list of strings')
  }
}

/** Absent means S256, the person vouches for it; a list without it says that PKCE cannot be done (RFC 7636 §4.2). */
function checkPkce(metadata: Record<string, unknown>, key: string): void {
  const name = 'code_challenge_methods_supported'
  if (!Object.hasOwn(metadata, name) || (metadata[name] as string[]).includes('S256')) return
  throw invalid(
    keyPath(key, name),
    'a list without "S256", the only method MCP allows.',
    'Leave it out if the authorization server supports S256.',
  )
}
