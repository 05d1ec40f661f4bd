import type { JsonObject, JsonValue } from '../ports.ts'

/** A login as another program keeps it. Times are seconds since 1970. */
export interface ForeignLogin {
  readonly access_token: string
  readonly refresh_token?: string
  readonly expires_at?: number
  readonly scope?: string
  /** Issuers that the files name: the program's own note, and the `iss` of tokens that are JWTs. */
  readonly issuers: readonly string[]
  readonly client?: ForeignClient
}

/** The client of a login: what the authorization server answered to a dynamic registration (RFC 7591 §3.2.1). */
export interface ForeignClient {
  readonly client_id: string
  readonly client_secret?: string
  readonly client_secret_expires_at?: number
  readonly client_id_issued_at?: number
  readonly token_endpoint_auth_method?: string
  readonly redirect_uris: readonly string[]
}

/** The same file format, with another idea of time. */
export interface ForeignTimes {
  /** What `expires_at` counts since 1970; a program that keeps none leaves it out. */
  readonly expiresAt: 'seconds' | 'milliseconds'
}

/**
 * Reads a file of tokens and one of a registration. `undefined` when they hold no login, or one that is not whole: the
 * files are another program's, and nothing in them is mended.
 */
export function readForeignLogin(
  tokensText: string,
  registrationText: string | undefined,
  { expiresAt }: ForeignTimes,
): ForeignLogin | undefined {
  const tokens = objectOf(tokensText)
  const access = tokens && text(tokens.access_token)
  // A token bound to a key that is elsewhere is worth nothing here.
  if (!tokens || access === undefined || !/^bearer$/i.test(text(tokens.token_type) ?? 'bearer'))
    return undefined
  const registration = registrationText === undefined ? undefined : objectOf(registrationText)
  const client = registration && readClient(registration)
  if (registrationText !== undefined && !client) return undefined
  const refresh = text(tokens.refresh_token)
  const scope = text(tokens.scope)
  const end = seconds(tokens.expires_at, expiresAt) ?? numberOf(claimsOf(access).exp)
  const issuers = [text(tokens.issuer), text(registration?.issuer), ...issuersIn(tokens)]
  return {
    access_token: access,
    ...(refresh !== undefined && { refresh_token: refresh }),
    ...(end !== undefined && { expires_at: end }),
    ...(scope !== undefined && { scope }),
    issuers: [...new Set(issuers.filter((issuer) => issuer !== undefined))],
    ...(client && { client }),
  }
}

function readClient(registration: JsonObject): ForeignClient | undefined {
  const clientId = text(registration.client_id)
  if (clientId === undefined) return undefined
  const secret = text(registration.client_secret)
  const method = text(registration.token_endpoint_auth_method)
  const secretExpires = numberOf(registration.client_secret_expires_at)
  const issuedAt = numberOf(registration.client_id_issued_at)
  const uris = registration.redirect_uris
  return {
    client_id: clientId,
    ...(secret !== undefined && { client_secret: secret }),
    // 0 means "never" (RFC 7591 §3.2.1).
    ...(secret !== undefined && secretExpires && { client_secret_expires_at: secretExpires }),
    ...(issuedAt && { client_id_issued_at: issuedAt }),
    ...(method !== undefined && { token_endpoint_auth_method: method }),
    redirect_uris: Array.isArray(uris) ? uris.filter((uri) => typeof uri === 'string') : [],
  }
}

/** Most servers give an ID token too, also where access tokens are opaque. */
function issuersIn({ access_token, id_token }: JsonObject): (string | undefined)[] {
  return [text(access_token), text(id_token)].map((token) => token && text(claimsOf(token).iss))
}

/** What a token says of itself, where it is a JWT: whoever could forge it has the refresh token beside it. */
function claimsOf(token: string): JsonObject {
  const [, payload, ...rest] = token.split('.')
  if (payload === undefined || rest.length !== 1) return {}
  try {
    return objectOf(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))) ?? {}
  } catch {
    return {}
  }
}

function objectOf(json: string): JsonObject | undefined {
  try {
    const value = JSON.parse(json) as JsonValue
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function numberOf(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? Math.floor(value) : undefined
}

function seconds(value: JsonValue | undefined, unit: ForeignTimes['expiresAt']): number | undefined {
  const number = numberOf(value)
  return number === undefined || unit === 'seconds' ? number : Math.floor(number / 1000)
}
