import {
  GRANTS,
  type GrantType,
  type IdentityProvider,
  type OAuthSettings,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from '../definitions.ts'
import { nearestKey } from './nearest-key.ts'
import { invalid, isRecord, keyPath, quote, unexpected } from './problem.ts'
import { credential, text, written } from './text-value.ts'
import { secureUrl } from './url-value.ts'

type Name = keyof OAuthSettings
type Check<T> = (value: unknown, key: string) => T

/** The keys of a grant with the function that checks the value of each. */
export const GRANT_CHECKS = {
  grant: oneOf<GrantType>(GRANTS),
  client_secret_file: path,
  client_secret_env: variable,
  client_secret_command: command,
  private_key: privateKey,
  private_key_file: path,
  private_key_env: variable,
  private_key_command: command,
  signing_algorithm: oneOf<SigningAlgorithm>(SIGNING_ALGORITHMS),
  key_id: credential,
  assertion_audience: text,
  assertion: credential,
  assertion_file: path,
  assertion_env: variable,
  assertion_command: command,
  idp: identityProvider,
} satisfies { [K in Name]?: Check<NonNullable<OAuthSettings[K]>> }

const IDP_CHECKS: { [K in keyof IdentityProvider]-?: Check<NonNullable<IdentityProvider[K]>> } = {
  issuer,
  token_endpoint: (value, key) => secureUrl(value, key).href,
  client_id: credential,
  client_secret: credential,
  client_secret_file: path,
  client_secret_env: variable,
  client_secret_command: command,
  id_token: credential,
  id_token_file: path,
  id_token_env: variable,
  id_token_command: command,
}
const IDP_NAMES = Object.keys(IDP_CHECKS) as (keyof IdentityProvider)[]
const IDP_SPELLINGS = new Map(
  IDP_NAMES.flatMap((name) => [[name, name] as const, [camelCase(name), name] as const]),
)

/** Of a person's sign-in only. */
const BROWSER_KEYS = ['callback_port', 'redirect_uri', 'offline_access', 'authorization_hosts'] as const
const KEY_KEYS = ['signing_algorithm', 'key_id', 'assertion_audience'] as const

type At = (name: Name) => string

/**
 * Checks that the settings of a grant are all there, once each, and none of another one. A grant is asked for by
 * name: a secret alone never turns a person's sign-in into one. Throws `config_invalid`.
 */
export function checkGrant(settings: OAuthSettings, key: string, at: At): void {
  const { grant } = settings
  checkIssuer(settings, at)
  const sourcesOf = (name: string) => sources(settings, name) as Name[]
  if (grant === undefined) {
    if (settings.issuer !== undefined && settings.client_id === undefined) {
      throw invalid(
        at('issuer'),
        'without effect beside neither `client_id` nor `grant`.',
        'Metadata known up front stands in `auth.oauth_provider.metadata`.',
      )
    }
    const idle = (Object.keys(GRANT_CHECKS) as Name[]).find((name) => settings[name] !== undefined)
    if (idle)
      throw invalid(at(idle), 'without effect when no `grant` is named.', `Grants: ${GRANTS.join(', ')}.`)
    return
  }
  const idle: Name[] = [
    ...BROWSER_KEYS,
    ...(grant === 'jwt-bearer' ? [] : sourcesOf('assertion')),
    ...(grant === 'id-jag' ? [] : (['idp', 'client_metadata_url'] as const)),
    ...(sourcesOf('private_key').length > 0 ? [] : KEY_KEYS),
  ]
  for (const name of idle) {
    if (settings[name] === undefined) continue
    const beside = KEY_KEYS.includes(name as (typeof KEY_KEYS)[number])
      ? 'without `private_key`'
      : `beside \`grant: ${grant}\``
    throw invalid(at(name), `without effect ${beside}.`, 'Remove it.')
  }
  if (settings.assertion_audience !== undefined && !settings.issuer && !settings.oauth_provider) {
    throw invalid(
      at('assertion_audience'),
      `without ${keyPath(key, 'issuer')}: another server than the one it is for could pass such an assertion on.`,
      'Add the `issuer` of the authorization server. By default the audience is the issuer, and needs none.',
    )
  }
  const proofs = [...sourcesOf('client_secret'), ...sourcesOf('private_key')]
  if (proofs[1] !== undefined) throw oneOfThem(at(proofs[1]), at(proofs[0]!))
  const hasClient = settings.client_id !== undefined || settings.client_metadata_url !== undefined
  if (!hasClient && (grant !== 'jwt-bearer' || proofs[0] !== undefined)) {
    throw missing(
      keyPath(key, 'client_id'),
      'the id of the client that this program is at the authorization server',
    )
  }
  if (grant === 'client_credentials' && proofs[0] === undefined) {
    throw missing(
      keyPath(key, 'client_secret'),
      'client_secret or private_key (or one of them with _file, _env, _command)',
    )
  }
  if (grant === 'jwt-bearer') checkOne(settings, 'assertion', key)
  if (grant === 'id-jag' && settings.idp === undefined) {
    throw missing(keyPath(key, 'idp'), 'an object { issuer, client_id, id_token_file }')
  }
}

function checkIssuer({ issuer, oauth_provider }: OAuthSettings, at: At): void {
  if (!oauth_provider || issuer === undefined || issuer === oauth_provider.metadata.issuer) return
  throw invalid(at('issuer'), `is another one than that of ${at('oauth_provider')}.`, 'Leave `issuer` out.')
}

/** Exact, as it is compared to metadata: RFC 8414 §2 without query and fragment. */
export function issuer(value: unknown, key: string): string {
  const url = secureUrl(value, key)
  if (url.search !== '') throw invalid(key, 'found a query in the issuer, expected none.')
  return value as string
}

function identityProvider(value: unknown, key: string): IdentityProvider {
  if (!isRecord(value)) throw unexpected(key, value, 'an object { issuer, client_id, id_token_file }')
  const idp: Record<string, unknown> = {}
  for (const [spelling, inner] of Object.entries(value)) {
    const at = keyPath(key, spelling)
    const name = IDP_SPELLINGS.get(spelling)
    if (name === undefined) throw unknownKey(spelling, at)
    if (Object.hasOwn(idp, name))
      throw invalid(at, `the same setting as ${keyPath(key, name)}.`, `Keep \`${name}\`.`)
    idp[name] = IDP_CHECKS[name](inner, at)
  }
  if (idp.client_id === undefined) {
    throw missing(
      keyPath(key, 'client_id'),
      'the id of the client that this program is at the identity provider',
    )
  }
  if (idp.issuer === undefined && idp.token_endpoint === undefined) {
    throw missing(keyPath(key, 'issuer'), 'the issuer of the identity provider, or its token_endpoint')
  }
  const [secret, second] = sources(idp, 'client_secret')
  if (second !== undefined) throw oneOfThem(keyPath(key, second), keyPath(key, secret!))
  checkOne(idp, 'id_token', key)
  return idp as unknown as IdentityProvider
}

function unknownKey(spelling: string, at: string) {
  const nearest = nearestKey(spelling, IDP_NAMES)
  return invalid(
    at,
    'unknown key.',
    nearest === undefined ? `Known: ${IDP_NAMES.join(', ')}.` : `Did you mean \`${nearest}\`?`,
  )
}

/** The keys that say where a secret is; one is right. */
function sources(settings: object, name: string): string[] {
  return [name, `${name}_file`, `${name}_env`, `${name}_command`].filter(
    (key) => (settings as Record<string, unknown>)[key] !== undefined,
  )
}

function checkOne(settings: object, name: string, key: string): void {
  const [first, second] = sources(settings, name)
  if (first === undefined) {
    throw missing(
      keyPath(key, `${name}_file`),
      `one of ${name}_file, ${name}_env, ${name}_command and ${name}`,
    )
  }
  if (second !== undefined) throw oneOfThem(keyPath(key, second), keyPath(key, first))
}

function oneOfThem(second: string, first: string) {
  return invalid(second, `stands beside ${first}, expected one of them.`, 'Remove the one that is not meant.')
}

function missing(key: string, expected: string) {
  return invalid(key, `missing, expected ${expected}.`)
}

function oneOf<T extends string>(known: readonly T[]): Check<T> {
  return (value, key) => {
    const word = text(value, key)
    const found = known.find((each) => each === word)
    if (found !== undefined) return found
    const nearest = nearestKey(word, known)
    const remedy = nearest === undefined ? undefined : `Did you mean \`${nearest}\`?`
    throw invalid(key, `expected one of ${known.map(quote).join(', ')}.`, remedy)
  }
}

/** Whole, as a relative one would depend on where the program was started. */
function path(value: unknown, key: string): string {
  const found = text(value, key)
  if (/^(\/|~\/|[A-Za-z]:[\\/]|\\\\)/.test(found)) return found
  throw invalid(key, 'found a relative path, expected one that starts with "/" or "~/".')
}

function variable(value: unknown, key: string): string {
  const name = text(value, key)
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name
  throw invalid(key, 'expected the name of a variable.', 'Not its value: it is read when it is needed.')
}

/** No shell takes it apart, so a single string would be one program with spaces in its name. */
function command(value: unknown, key: string): string[] {
  const expected = 'a list: the program, then its arguments'
  if (!Array.isArray(value) || value.length === 0) throw unexpected(key, value, expected)
  return value.map((item, index) => {
    if (typeof item !== 'string' || (index === 0 && item.trim() === '') || item.includes('\0')) {
      throw unexpected(keyPath(key, index), item, 'a string')
    }
    return item
  })
}

/** Variables hold keys on one line, with `\n` written out. */
function privateKey(value: unknown, key: string): string {
  const pem = written(value, key).replaceAll('\\n', '\n')
  if (/-----BEGIN [A-Z ]+-----/.test(pem)) return pem
  throw invalid(
    key,
    'expected a key in PEM ("-----BEGIN PRIVATE KEY-----").',
    'A path stands in `private_key_file`.',
  )
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
