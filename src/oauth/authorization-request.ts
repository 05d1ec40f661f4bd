import * as oauth from 'oauth4webapi'
import type { ServerMetadata } from './server-metadata.ts'

/** What one authorization request asks for (RFC 6749 §4.1.1, RFC 7636, RFC 8707). */
export interface AuthorizationParameters {
  readonly clientId: string
  readonly redirectUri: string
  readonly scope: string | undefined
  readonly resource: string | undefined
  /** Thumbprint of the key that the code is bound to (RFC 9449 §10). */
  readonly dpopJkt?: string
  /** OpenID Connect Core §3.1.2.1, space-separated: `login consent`. */
  readonly prompt?: string
}

/** A request and what must be known when its answer comes: kept together, never shared between two sign-ins. */
export interface AuthorizationRequest extends AuthorizationParameters {
  readonly url: string
  readonly state: string
  readonly codeVerifier: string
  /** The issuer whose `iss` the response must carry (RFC 9207). */
  readonly issuer: string
}

/** Builds the request with a fresh `state` and PKCE S256 verifier. Parameters of the endpoint itself are kept. */
export async function createAuthorizationRequest(
  metadata: ServerMetadata,
  parameters: AuthorizationParameters,
): Promise<AuthorizationRequest> {
  const state = oauth.generateRandomState()
  const codeVerifier = oauth.generateRandomCodeVerifier()
  // Discovery for a person's sign-in takes no metadata without it.
  const url = new URL(metadata.authorization_endpoint!)
  // RFC 6749 §3.1: no fragment, and a server that names one would hide parameters behind it.
  url.hash = ''
  const set = (name: string, value: string | undefined) =>
    value !== undefined && url.searchParams.set(name, value)
  set('response_type', 'code')
  set('client_id', parameters.clientId)
  set('redirect_uri', parameters.redirectUri)
  set('scope', parameters.scope)
  set('state', state)
  set('code_challenge', await oauth.calculatePKCECodeChallenge(codeVerifier))
  set('code_challenge_method', 'S256')
  set('resource', parameters.resource)
  set('prompt', parameters.prompt)
  set('dpop_jkt', parameters.dpopJkt)
  return { ...parameters, url: url.href, state, codeVerifier, issuer: metadata.issuer }
}
