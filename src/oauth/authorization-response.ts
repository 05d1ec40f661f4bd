import * as oauth from 'oauth4webapi'
import { withoutEcho } from '../echo.ts'
import {
  AuthorizationRefusedError,
  AuthorizationResponseInvalidError,
  IssuerMismatchError,
  RedirectUriRefusedError,
} from '../errors/index.ts'
import { cleanServerText, quoteServerText } from '../errors/server-text.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import { blamesRedirectUri, redirectUriRemedy } from './redirect-uri-remedy.ts'
import { blamesResource, RESOURCE_REMEDY } from './resource-remedy.ts'
import type { ServerMetadata } from './server-metadata.ts'

const START_AGAIN =
  'Nothing was sent anywhere. Start the sign-in again; if it happens again, the authorization server is at fault.'

/** Parameters that may be exchanged for a token: only {@link processAuthorizationResponse} makes them. */
export type ValidatedResponse = { readonly parameters: URLSearchParams }

/**
 * Judges the redirect that came back: `state` first, then `iss`, and only then `error` is believed
 * (RFC 6749 §10.12, RFC 9207 §2.4, MCP authorization "Authorization Response Validation").
 *
 * @throws `authorization_response_invalid`, `issuer_mismatch`, `authorization_refused`, `redirect_uri_refused`
 */
export function processAuthorizationResponse(
  parameters: URLSearchParams,
  request: AuthorizationRequest,
  metadata: ServerMetadata,
): ValidatedResponse {
  for (const name of ['state', 'iss', 'code', 'error']) {
    if (parameters.getAll(name).length > 1) throw invalid(name, `carries \`${name}\` more than once`)
  }
  if (parameters.get('state') !== request.state)
    throw invalid('state', 'does not carry the `state` of our request')
  const secrets = [request.state, request.codeVerifier, parameters.get('code') ?? '']
  assertIssuer(parameters.get('iss'), request, metadata, secrets)
  const error = parameters.get('error')
  if (error !== null) {
    const description = parameters.get('error_description')
    throw refusal(withoutEcho(error, secrets), description && withoutEcho(description, secrets), request)
  }
  if (!parameters.get('code')) throw invalid('code', 'carries neither a code nor an error')
  // Parameters of other specifications that came along would be refused; only these three are ours.
  const ours = new URLSearchParams(
    [...parameters].filter(([name]) => ['code', 'state', 'iss'].includes(name)),
  )
  return {
    parameters: oauth.validateAuthResponse(metadata, { client_id: request.clientId }, ours, request.state),
  }
}

function assertIssuer(
  iss: string | null,
  { issuer }: AuthorizationRequest,
  metadata: ServerMetadata,
  secrets: readonly string[],
): void {
  // Plain string comparison, no normalisation (RFC 9207 §2.4).
  if (iss === issuer || (iss === null && !metadata.authorization_response_iss_parameter_supported)) return
  const named = iss === null ? undefined : withoutEcho(iss, secrets)
  throw new IssuerMismatchError({
    message:
      named === undefined
        ? `The authorization response does not say which server it comes from, although ${quoteServerText(issuer)} announces that it does.`
        : `The authorization response comes from ${quoteServerText(named)}, not from ${quoteServerText(issuer)}.`,
    remedy: START_AGAIN,
    expected: issuer,
    actual: named,
  })
}

function refusal(error: string, description: string | null, request: AuthorizationRequest): Error {
  const host = new URL(request.issuer).host
  const said = description ? `: ${quoteServerText(description)}` : ''
  if (blamesRedirectUri(error, description)) {
    return new RedirectUriRefusedError({
      message: `${host} does not accept the redirect URI ${request.redirectUri} (${quoteServerText(error, 60)}${said}).`,
      remedy: redirectUriRemedy(request.redirectUri, host),
      issuer: request.issuer,
      redirectUri: request.redirectUri,
    })
  }
  return new AuthorizationRefusedError({
    message:
      error === 'access_denied'
        ? `The sign-in at ${host} was declined${said}.`
        : `${host} refused the authorization request (${quoteServerText(error, 60)}${said}).`,
    remedy:
      authorizationRemedy(error, description) ??
      'Sign in again with `--debug` to see the request that was refused.',
    issuer: request.issuer,
    error: cleanServerText(error, 60),
  })
}

const REMEDIES: Record<string, string> = {
  access_denied: 'Sign in again and allow the access if that was not what you meant.',
  invalid_scope:
    'Set `auth.scope` to scopes this server knows, or remove it to ask for what the server advertises.',
  unauthorized_client:
    'The client may not use this flow: check how it is registered, or remove `client_id` to register a new one.',
  invalid_target: RESOURCE_REMEDY,
  temporarily_unavailable: 'Try again later.',
  server_error: 'Try again later.',
}

function authorizationRemedy(error: string, description: string | null): string | undefined {
  if (blamesResource(description ?? undefined)) return RESOURCE_REMEDY
  return Object.hasOwn(REMEDIES, error) ? REMEDIES[error] : undefined
}

function invalid(parameter: string, what: string): AuthorizationResponseInvalidError {
  return new AuthorizationResponseInvalidError({
    message: `The authorization response ${what}.`,
    remedy: START_AGAIN,
    parameter,
  })
}
