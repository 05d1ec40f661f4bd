import * as oauth from 'oauth4webapi'
import {
  NetworkFailedError,
  RedirectUriRefusedError,
  ResponseInvalidError,
  TokenRequestRefusedError,
} from '../errors/index.ts'
import { cleanServerText, quoteServerText } from '../errors/server-text.ts'
import type { JsonObject } from '../ports.ts'
import { type Answer, cleanResponse, readAnswer, secondsMember, stringMember } from './answer.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import type { ValidatedResponse } from './authorization-response.ts'
import { type ClientInformation, clientAuthentication } from './client-authentication.ts'
import { withServerNonce } from './dpop.ts'
import { blamesRedirectUri, redirectUriRemedy } from './redirect-uri-remedy.ts'
import { type RequestContext, requestOptions } from './request-options.ts'
import { blamesResource, RESOURCE_REMEDY } from './resource-remedy.ts'
import { grantedScope } from './scope.ts'

/** What a token endpoint must be known by: enough for a refresh from what is stored. */
export interface TokenEndpoint {
  readonly issuer: string
  readonly token_endpoint: string
}

/** A token answer (RFC 6749 §5.1) after judging. */
export interface TokenAnswer {
  readonly access_token: string
  /** Lower case. */
  readonly token_type: 'bearer' | 'dpop'
  /** Seconds; absent when the server gives none. */
  readonly expires_in?: number
  readonly refresh_token?: string
  /** Space-separated; absent means "as requested" (RFC 6749 §5.1). */
  readonly scope?: string
}

/** Exchanges the code (RFC 6749 §4.1.3 with RFC 7636 and RFC 8707). */
export async function requestCodeExchange(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  response: ValidatedResponse,
  request: AuthorizationRequest,
  context: RequestContext,
): Promise<Answer> {
  return withServerNonce(context.dpop, async () => {
    const answer = await oauth.authorizationCodeGrantRequest(
      { ...endpoint },
      { client_id: client.client_id },
      clientAuthentication(client),
      response.parameters,
      request.redirectUri,
      request.codeVerifier,
      {
        ...requestOptions(context),
        headers: ACCEPT_JSON,
        additionalParameters: resourceParameter(request.resource),
      },
    )
    return readAnswer(answer, endpoint.token_endpoint, [request.state])
  })
}

export interface RefreshParameters {
  readonly refreshToken: string
  readonly resource: string | undefined
}

/** Refreshes (RFC 6749 §6). Without `scope`, which means the scope there is. */
export async function requestRefresh(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  { refreshToken, resource }: RefreshParameters,
  context: RequestContext,
): Promise<Answer> {
  return withServerNonce(context.dpop, async () => {
    const answer = await oauth.refreshTokenGrantRequest(
      { ...endpoint },
      { client_id: client.client_id },
      clientAuthentication(client),
      refreshToken,
      {
        ...requestOptions(context),
        headers: ACCEPT_JSON,
        additionalParameters: resourceParameter(resource),
      },
    )
    return readAnswer(answer, endpoint.token_endpoint)
  })
}

/**
 * Judges a token answer. `error` is taken wherever it stands, whatever the status (GitHub: HTTP 200). A token is bound to
 * a key exactly when a proof was sent (RFC 9449 §5): a bearer token in place of a bound one is refused.
 *
 * @param provesKey whether the request carried a DPoP proof
 * @throws `token_request_refused`, `redirect_uri_refused`, `network_failed` (5xx, 429), `response_invalid`
 */
export async function processTokenAnswer(
  answer: Answer,
  endpoint: TokenEndpoint,
  client: ClientInformation,
  redirectUri: string | undefined,
  provesKey = false,
): Promise<TokenAnswer> {
  const { status, ok, url, contentType } = answer
  const members = tokenMembersOf(answer.members)
  assertNoTokenError(answer, endpoint, redirectUri)
  const accessToken = members && stringMember(members, 'access_token')
  if (!ok || !members || !accessToken || !isTokenText(accessToken)) {
    throw new ResponseInvalidError({
      message: `The token endpoint ${url} answered HTTP ${status} (${contentType ?? 'no content type'}) with neither a token nor an error.`,
      remedy:
        'Run the command with `--debug` to see the requests; the operator of the authorization server has to look into it.',
      url,
      status,
      contentType,
    })
  }
  const token = await judged(members, accessToken, endpoint, client)
  if ((token.token_type === 'dpop') !== provesKey) throw otherBinding(answer, provesKey)
  return token
}

/** Neither a token nor an error under a status of success: what the server said got lost on its way. */
export function saysNothing({ ok, members }: Answer): boolean {
  const told = tokenMembersOf(members)
  return ok && told?.access_token === undefined && told?.error === undefined
}

/** Slack: the person's token is nested, and the top level is about an app without one of its own. */
function tokenMembersOf(members: JsonObject | undefined): JsonObject | undefined {
  const nested = members?.authed_user
  const isNested = typeof nested === 'object' && nested !== null && !Array.isArray(nested)
  return isNested && members?.access_token === undefined ? { ...members, ...nested } : members
}

/**
 * The part of the judgement that every answer of a token endpoint shares, whatever it is asked for.
 *
 * @throws `token_request_refused`, `redirect_uri_refused`, `network_failed` (5xx, 429)
 */
export function assertNoTokenError(answer: Answer, endpoint: TokenEndpoint, redirectUri?: string): void {
  const { members, status } = answer
  const error = members && stringMember(members, 'error')
  const notNow = status >= 500 || status === 429
  // Gateways and frameworks write `error` as well; where the status says "not now", only OAuth's own words count.
  if (error && !TRANSIENT.has(error) && (!notNow || FINAL.has(error))) {
    throw refusal(answer, error, endpoint, redirectUri)
  }
  if (notNow || error) throw unavailable(answer, error)
}

async function judged(
  members: NonNullable<Answer['members']>,
  accessToken: string,
  endpoint: TokenEndpoint,
  client: ClientInformation,
): Promise<TokenAnswer> {
  const expiresIn = lifetimeOf(members)
  const refreshText = stringMember(members, 'refresh_token')
  const refreshToken = refreshText !== undefined && isTokenText(refreshText) ? refreshText : undefined
  const scope = grantedScope(stringMember(members, 'scope'))
  // Only what we use travels on: an unasked `id_token` would be validated and could fail the login.
  const clean = {
    access_token: accessToken,
    token_type: stringMember(members, 'token_type') ?? 'bearer',
    ...(expiresIn !== undefined && { expires_in: expiresIn }),
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    ...(scope !== undefined && { scope }),
  }
  const token = await oauth.processRefreshTokenResponse(
    { ...endpoint },
    { client_id: client.client_id },
    cleanResponse(clean),
    // Slack says `user`: a token that is none of the known kinds is used as a bearer token.
    { recognizedTokenTypes: { [clean.token_type.toLowerCase()]: () => {} } },
  )
  return { ...token, token_type: token.token_type === 'dpop' ? 'dpop' : 'bearer' } as TokenAnswer
}

/** A hundred years, in seconds: what is said to last longer has no end that a clock could show. */
const LONGEST_LIFETIME = 3_155_760_000

function lifetimeOf(members: JsonObject): number | undefined {
  const seconds = secondsMember(members, 'expires_in')
  return seconds !== undefined && seconds <= LONGEST_LIFETIME ? seconds : undefined
}

const ACCEPT_JSON = { accept: 'application/json' }
const TRANSIENT = new Set(['temporarily_unavailable', 'server_error', 'slow_down'])
/** RFC 6749 §5.2 and RFC 8707 §2. */
const FINAL = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
])

function resourceParameter(resource: string | undefined): Record<string, string> {
  return resource === undefined ? {} : { resource }
}

function unavailable({ url, status }: Answer, error: string | undefined): NetworkFailedError {
  const said = error ? `, ${quoteServerText(error, 60)}` : ''
  return new NetworkFailedError({
    message: `The token endpoint ${url} is not available now (HTTP ${status}${said}).`,
    remedy: 'Try again later; nothing stored was changed.',
    url,
    status,
  })
}

function otherBinding({ url, status, contentType }: Answer, provesKey: boolean): ResponseInvalidError {
  return new ResponseInvalidError({
    message: provesKey
      ? `The token endpoint ${url} answered with a bearer token although one bound to a key (DPoP) was asked for.`
      : `The token endpoint ${url} answered with a token bound to a key (DPoP), which nobody proved to have.`,
    remedy: provesKey
      ? 'This authorization server, or this client there, has no DPoP: have it enabled, or remove `auth.dpop` to use bearer tokens.'
      : 'Set `auth.dpop` to true and sign in again.',
    url,
    status,
    contentType,
  })
}

function refusal(
  { members, status }: Answer,
  error: string,
  { issuer }: TokenEndpoint,
  redirectUri?: string,
): Error {
  const host = new URL(issuer).host
  const description = members && stringMember(members, 'error_description')
  const said = `${quoteServerText(error, 60)}${description ? `: ${quoteServerText(description)}` : ''}`
  if (redirectUri && blamesRedirectUri(error, description)) {
    return new RedirectUriRefusedError({
      message: `${host} does not accept the redirect URI ${redirectUri} (${said}).`,
      remedy: redirectUriRemedy(redirectUri, host),
      issuer,
      redirectUri,
    })
  }
  return new TokenRequestRefusedError({
    message: `${host} refused the token request (${said}).`,
    remedy: tokenRemedy(error, description),
    issuer,
    error: cleanServerText(error, 60),
    status,
  })
}

const CHECK_CLIENT =
  'Check `client_id` and `client_secret` if you configured them (a secret may have been replaced at the provider); a client that was registered by itself is replaced when you sign in again.'
const REMEDIES: Record<string, string> = {
  invalid_client: CHECK_CLIENT,
  unauthorized_client: CHECK_CLIENT,
  incorrect_client_credentials: CHECK_CLIENT,
  bad_verification_code: 'The code was used already or is older than ten minutes. Sign in again.',
  invalid_target: RESOURCE_REMEDY,
  invalid_dpop_proof:
    'It wants a proof of possession for each token (DPoP): set `auth.dpop` to true. If it is set, compare the clock of this machine: proofs are good for a few minutes only.',
  use_dpop_nonce:
    'It wants a proof of possession for each token (DPoP): set `auth.dpop` to true. If it is set, its nonces cannot be met: its operator has to look into it.',
  invalid_scope:
    'Set `auth.scope` to scopes this server knows, or remove it to ask for what the server advertises.',
}

function tokenRemedy(error: string, description: string | undefined): string {
  if (blamesResource(description)) return RESOURCE_REMEDY
  return (Object.hasOwn(REMEDIES, error) && REMEDIES[error]) || 'Sign in again.'
}

/** VSCHAR (RFC 6749 A.12, A.17): anything else could not be sent in a header, and would surface in its error. */
export function isTokenText(text: string): boolean {
  return /^[\x20-\x7e]+$/.test(text)
}
