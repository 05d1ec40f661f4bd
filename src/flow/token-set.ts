import type { GrantType } from '../definitions.ts'
import type { ClientKind } from '../events.ts'
import type { ClientAuthenticationMethod, ClientInformation } from '../oauth/client-authentication.ts'
import type { RegisteredClient } from '../oauth/client-registration.ts'
import type { DpopKey } from '../oauth/dpop-key.ts'
import type { TokenAnswer } from '../oauth/token-request.ts'
import type { FlowContext } from './context.ts'
import type { Discovery } from './discover.ts'

/**
 * A login as it is stored: the tokens, and with them everything a refresh or a revocation needs, so that neither has
 * to discover anything (and can be led nowhere else). Spelled as on the wire; times are seconds since 1970.
 */
export interface TokenSet {
  /** How it was got, where no person signed in. */
  readonly grant?: GrantType
  readonly issuer: string
  /** The RFC 8707 `resource` that was sent; absent when turned off. */
  readonly resource?: string
  /** Empty where a workload's assertion alone says who asks. */
  readonly client_id: string
  /** Only of a dynamic client: the secret of a configured client stays in the configuration. */
  readonly client_secret?: string
  readonly token_endpoint_auth_method: ClientAuthenticationMethod
  readonly client_kind: ClientKind
  /** Absent where no person signed in. */
  readonly redirect_uri?: string
  readonly token_endpoint: string
  /** A host of the sign-in page that is not the issuer's, to which the person said yes. */
  readonly confirmed_authorization_host?: string
  readonly revocation_endpoint?: string
  /** What was asked for: a step-up adds to it. */
  readonly requested_scope?: string
  readonly access_token: string
  readonly token_type: 'bearer' | 'dpop'
  /** The private key that both tokens are bound to (RFC 9449); there exactly when `token_type` is `dpop`. */
  readonly dpop_key?: DpopKey
  readonly expires_at?: number
  readonly refresh_token?: string
  /** What was granted. */
  readonly scope?: string
  readonly obtained_at: number
}

/** A dynamic registration as it is stored. */
export interface ClientRegistration extends RegisteredClient {
  readonly issuer: string
  readonly redirect_uri: string
  /** Where its secret goes; absent in registrations of before this was kept. */
  readonly token_endpoint?: string
  /** What was asked for at registration: many servers let this client ask for nothing else later. */
  readonly scope?: string
  /** It was registered for tokens bound to a key, and gets no others (RFC 9449 §5.2). */
  readonly dpop_bound_access_tokens?: true
  /** The client's metadata document that the server would not take, so that this client was registered. */
  readonly refused_document?: string
  /**
   * A sign-in with it did not come back, or its code was refused: the server may have forgotten it, and the next sign-in
   * registers another client.
   */
  readonly doubted_at?: number
  readonly created_at: number
}

export interface NewLogin {
  readonly discovery: Pick<Discovery, 'metadata' | 'resource'>
  readonly client: { readonly kind: ClientKind; readonly client: ClientInformation }
  /** The scope that was asked for. */
  readonly requested: string | undefined
  readonly token: TokenAnswer
}

/** The login that a first token answer makes; how it was got is added by who got it. */
export function newTokenSet(
  { discovery: { metadata, resource }, client: { client, kind }, requested, token }: NewLogin,
  { clock }: Pick<FlowContext, 'clock'>,
): TokenSet {
  // RFC 6749 §5.1: no scope in the answer means the scope that was asked for.
  const granted = token.scope ?? requested
  return {
    issuer: metadata.issuer,
    ...(resource !== undefined && { resource }),
    client_id: client.client_id,
    ...(kind === 'dynamic' && client.client_secret !== undefined && { client_secret: client.client_secret }),
    token_endpoint_auth_method: client.token_endpoint_auth_method,
    client_kind: kind,
    token_endpoint: metadata.token_endpoint,
    ...(metadata.revocation_endpoint && { revocation_endpoint: metadata.revocation_endpoint }),
    ...(requested !== undefined && { requested_scope: requested }),
    ...tokenMembers(token, clock.now()),
    ...(granted !== undefined && { scope: granted }),
  }
}

/** The client of a stored login, with what proves it now. */
export function clientOf(
  { client_id, token_endpoint_auth_method }: TokenSet,
  { client_secret, signing_key }: ClientProof,
): ClientInformation {
  return {
    client_id,
    token_endpoint_auth_method,
    ...(client_secret !== undefined && { client_secret }),
    ...(signing_key && { signing_key }),
  }
}

export interface ClientProof {
  readonly client_secret?: string | undefined
  readonly signing_key?: ClientInformation['signing_key']
}

/** The token members of a {@link TokenSet}, with `expires_in` made absolute. */
export function tokenMembers(
  answer: TokenAnswer,
  now: number,
): Pick<TokenSet, 'access_token' | 'token_type' | 'expires_at' | 'refresh_token' | 'scope' | 'obtained_at'> {
  const obtainedAt = Math.floor(now / 1000)
  return {
    access_token: answer.access_token,
    token_type: answer.token_type,
    ...(answer.expires_in !== undefined && { expires_at: obtainedAt + Math.floor(answer.expires_in) }),
    ...(answer.refresh_token !== undefined && { refresh_token: answer.refresh_token }),
    ...(answer.scope !== undefined && { scope: answer.scope }),
    obtained_at: obtainedAt,
  }
}
