import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { PendingSignIn } from '../flow/web-sign-in.ts'
import { isDpopKey } from '../oauth/dpop-key.ts'
import { isTokenText } from '../oauth/token-request.ts'
import type { CredentialKey, JsonObject, JsonValue } from '../ports.ts'

/**
 * Stored records, read as strangers: a member of the wrong type makes the record unusable, an unknown one is kept
 * by the store and ignored here. `docs/storage-format.md` is this file in words.
 */

/** The authorization server that configured credentials belong to. Nothing of it is secret. */
export interface PinnedIssuer {
  readonly issuer: string
  /** Seconds since 1970. */
  readonly pinned_at: number
}

type Kind = 'string' | 'number' | 'boolean' | 'object'
type Members<T> = {
  readonly [Name in keyof Required<T>]: { readonly type: Kind; readonly required: boolean }
}

const text = { type: 'string', required: true } as const
const optionalText = { type: 'string', required: false } as const
const seconds = { type: 'number', required: true } as const
const optionalSeconds = { type: 'number', required: false } as const

const TOKEN_SET: Members<TokenSet> = {
  grant: optionalText,
  issuer: text,
  resource: optionalText,
  client_id: text,
  client_secret: optionalText,
  token_endpoint_auth_method: text,
  client_kind: text,
  redirect_uri: optionalText,
  token_endpoint: text,
  confirmed_authorization_host: optionalText,
  revocation_endpoint: optionalText,
  requested_scope: optionalText,
  access_token: text,
  token_type: text,
  dpop_key: { type: 'object', required: false },
  expires_at: optionalSeconds,
  refresh_token: optionalText,
  scope: optionalText,
  obtained_at: seconds,
}

const REGISTRATION: Members<ClientRegistration> = {
  issuer: text,
  redirect_uri: text,
  token_endpoint: optionalText,
  client_id: text,
  client_secret: optionalText,
  client_secret_expires_at: optionalSeconds,
  client_id_issued_at: optionalSeconds,
  token_endpoint_auth_method: text,
  registration_client_uri: optionalText,
  registration_access_token: optionalText,
  scope: optionalText,
  dpop_bound_access_tokens: { type: 'boolean', required: false },
  refused_document: optionalText,
  doubted_at: optionalSeconds,
  created_at: seconds,
}

const PINNED_ISSUER: Members<PinnedIssuer> = {
  issuer: text,
  pinned_at: seconds,
}

const PENDING_SIGN_IN: Members<PendingSignIn> = {
  state: text,
  code_verifier: text,
  redirect_uri: text,
  issuer: text,
  token_endpoint: text,
  revocation_endpoint: optionalText,
  token_endpoint_auth_methods_supported: { type: 'object', required: false },
  authorization_response_iss_parameter_supported: { type: 'boolean', required: false },
  resource: optionalText,
  requested_scope: optionalText,
  client_id: text,
  client_kind: text,
  registration: { type: 'object', required: false },
  registration_is_stored: { type: 'boolean', required: false },
  dpop_key: { type: 'object', required: false },
  expires_at: seconds,
}

/** The record to store under `key`; it repeats the key's identity and account. */
export function encodeRecord(
  key: CredentialKey,
  value: TokenSet | ClientRegistration | PendingSignIn | PinnedIssuer,
): JsonObject {
  return { ...key.identity, account: key.account, ...(value as unknown as JsonObject) }
}

/** `undefined` when the record is not a whole login. */
export function decodeTokenSet(record: JsonObject): TokenSet | undefined {
  const tokens = decode<TokenSet>(record, TOKEN_SET)
  return tokens && isTokenText(tokens.access_token) && hasWhatItsTypeNeeds(tokens) && hasKnownMethod(tokens)
    ? tokens
    : undefined
}

/** `undefined` when the record is not a whole registration. */
export function decodeRegistration(record: JsonObject): ClientRegistration | undefined {
  const registration = decode<ClientRegistration>(record, REGISTRATION)
  return registration && hasKnownMethod(registration) ? registration : undefined
}

/** `undefined` when the record is not a whole pending sign-in. */
export function decodePendingSignIn(record: JsonObject): PendingSignIn | undefined {
  const pending = decode<PendingSignIn>(record, PENDING_SIGN_IN)
  if (!pending) return undefined
  const { registration, dpop_key, client_kind } = pending
  const stored = registration && decodeRegistration(registration as unknown as JsonObject)
  const isWhole = (client_kind === 'dynamic') === (stored !== undefined) && (!dpop_key || isDpopKey(dpop_key))
  return isWhole ? { ...pending, ...(stored && { registration: stored }) } : undefined
}

/** `undefined` when the record names no issuer. */
export function decodePinnedIssuer(record: JsonObject): PinnedIssuer | undefined {
  return decode<PinnedIssuer>(record, PINNED_ISSUER)
}

/** The last moment of `Date`, in seconds since 1970: every number of a record is a time. */
const LATEST = 8.64e12

function decode<T>(record: JsonObject, members: Members<T>): T | undefined {
  const value: Record<string, JsonValue> = {}
  for (const [name, { type, required }] of Object.entries<{ type: Kind; required: boolean }>(members)) {
    const member = record[name]
    if (member === undefined || member === null) {
      if (required) return undefined
    } else if (typeof member !== type || (typeof member === 'number' && Math.abs(member) > LATEST)) {
      return undefined
    } else {
      value[name] = member
    }
  }
  return value as T
}

/** A bound token without its key, or a key without one, is no login. */
function hasWhatItsTypeNeeds({ token_type, dpop_key }: TokenSet): boolean {
  return token_type === 'dpop' ? isDpopKey(dpop_key) : token_type === 'bearer' && dpop_key === undefined
}

const METHODS = [
  'none',
  'client_secret_basic',
  'client_secret_post',
  'client_secret_basic_unencoded',
  'private_key_jwt',
]

function hasKnownMethod({ token_endpoint_auth_method }: TokenSet | ClientRegistration): boolean {
  return isOneOf(token_endpoint_auth_method, METHODS)
}

function isOneOf(value: string, known: readonly string[]): boolean {
  return known.includes(value)
}
