import type { OAuthSettings } from '../definitions.ts'
import { UrlRefusedError } from '../errors/index.ts'
import type { ClientKind } from '../events.ts'
import { type AuthorizationRequest, createAuthorizationRequest } from '../oauth/authorization-request.ts'
import { type DpopKey, dpopThumbprint } from '../oauth/dpop-key.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import { judgeResponse } from './authorization-code.ts'
import { foreignAuthorizationHost } from './authorization-host.ts'
import type { FlowContext } from './context.ts'
import { exchangeCode } from './exchange-code.ts'
import { configuredClient, type ObtainedClient } from './obtain-client.ts'
import {
  type PreparedAuthorization,
  prepareAuthorization,
  promptFor,
  type SignInRequest,
} from './prepare-authorization.ts'
import type { SignInResult } from './sign-in.ts'
import { type ClientRegistration, newTokenSet, type TokenSet } from './token-set.ts'

/**
 * A sign-in that waits for its authorization response: all that is needed to finish it, in whichever process that
 * arrives. Spelled as on the wire; times are seconds since 1970.
 */
export interface PendingSignIn {
  readonly state: string
  readonly code_verifier: string
  readonly redirect_uri: string
  /** The issuer whose `iss` the response must carry (RFC 9207), and where the code is exchanged. */
  readonly issuer: string
  readonly token_endpoint: string
  readonly revocation_endpoint?: string
  readonly token_endpoint_auth_methods_supported?: string[]
  readonly authorization_response_iss_parameter_supported?: boolean
  readonly resource?: string
  readonly requested_scope?: string
  readonly client_id: string
  readonly client_kind: ClientKind
  /** Of a dynamic client. The secret of a configured one stays in the configuration. */
  readonly registration?: ClientRegistration
  /** The registration was stored before: its server may have forgotten it. */
  readonly registration_is_stored?: boolean
  /** The private key that the code and the tokens are bound to (RFC 9449). */
  readonly dpop_key?: DpopKey
  readonly expires_at: number
}

export interface WebSignInRequest extends SignInRequest {
  /** Where the person comes back to: an address of the web application. */
  readonly redirectUri: string
  /** Milliseconds the person has. */
  readonly timeout: number
}

/**
 * Everything up to the moment when the person is sent to the authorization server.
 *
 * @throws `url_refused` for a sign-in page on a host that nobody vouches for, every code of discovery and registration
 */
export async function beginWebSignIn(
  request: WebSignInRequest,
  context: FlowContext,
): Promise<{ readonly pending: PendingSignIn; readonly authorizationUrl: string }> {
  const { redirectUri, settings, force, timeout } = request
  const prepared = await prepareAuthorization(request, redirectUri, context)
  const { discovery, client, scope, dpopKey } = prepared
  const { metadata, resource } = discovery
  const foreign = foreignAuthorizationHost(discovery, settings)
  if (foreign !== undefined) throw foreignHost(foreign, metadata)
  const prompt = promptFor(force, scope)
  const authorization = await createAuthorizationRequest(metadata, {
    clientId: client.client.client_id,
    redirectUri,
    scope,
    resource,
    ...(prompt && { prompt }),
    ...(dpopKey && { dpopJkt: await dpopThumbprint(dpopKey) }),
  })
  const { host: authorizationHost } = await context.judgePage(authorization.url, 'authorization_endpoint')
  const deadline = context.clock.now() + timeout
  context.emit({
    type: 'authorization_started',
    server: context.server,
    server_host: new URL(request.serverUrl).host,
    issuer: metadata.issuer,
    authorization_host: authorizationHost,
    ...(scope !== undefined && { scope }),
    ...(resource !== undefined && { resource }),
    redirect_uri: redirectUri,
    client_kind: client.kind,
    authorization_url: authorization.url,
    start_url: authorization.url,
    deadline,
  })
  return {
    pending: pendingOf(prepared, authorization, Math.floor(deadline / 1000)),
    authorizationUrl: authorization.url,
  }
}

/**
 * Judges the response and exchanges its code. To be called once for a pending sign-in.
 *
 * @throws `authorization_response_invalid`, `issuer_mismatch`, `authorization_refused`, and those of the token request
 */
export async function completeWebSignIn(
  {
    pending,
    parameters,
    settings,
  }: {
    readonly pending: PendingSignIn
    readonly parameters: URLSearchParams
    readonly settings: OAuthSettings
  },
  context: FlowContext,
): Promise<SignInResult> {
  const metadata: ServerMetadata = metadataOf(pending)
  const authorization: AuthorizationRequest = {
    url: '',
    state: pending.state,
    codeVerifier: pending.code_verifier,
    issuer: pending.issuer,
    clientId: pending.client_id,
    redirectUri: pending.redirect_uri,
    scope: pending.requested_scope,
    resource: pending.resource,
  }
  const response = judgeResponse(parameters, authorization, metadata, context)
  const { dpop_key: dpopKey, requested_scope: requested, resource } = pending
  const client = clientOf(pending, metadata, settings)
  const { result: token, client: proven } = await exchangeCode(
    response,
    authorization,
    { metadata, client, dpopKey },
    context,
  )
  const tokens: TokenSet = {
    ...newTokenSet({ discovery: { metadata, resource }, client: proven, requested, token }, context),
    redirect_uri: pending.redirect_uri,
    ...(dpopKey && { dpop_key: dpopKey }),
  }
  const { registration, isStored = false } = proven
  return { tokens, registration, isNewClient: registration !== undefined && !isStored }
}

function pendingOf(
  { discovery: { metadata, resource }, client, scope, dpopKey }: PreparedAuthorization,
  { state, codeVerifier, redirectUri }: AuthorizationRequest,
  expires_at: number,
): PendingSignIn {
  const { issuer, token_endpoint, revocation_endpoint, token_endpoint_auth_methods_supported } = metadata
  const sendsIss = metadata.authorization_response_iss_parameter_supported
  return {
    state,
    code_verifier: codeVerifier,
    redirect_uri: redirectUri,
    issuer,
    token_endpoint,
    ...(revocation_endpoint && { revocation_endpoint }),
    ...(token_endpoint_auth_methods_supported && { token_endpoint_auth_methods_supported }),
    ...(sendsIss !== undefined && { authorization_response_iss_parameter_supported: sendsIss }),
    ...(resource !== undefined && { resource }),
    ...(scope !== undefined && { requested_scope: scope }),
    client_id: client.client.client_id,
    client_kind: client.kind,
    ...(client.registration && { registration: client.registration }),
    ...(client.isStored && { registration_is_stored: true }),
    ...(dpopKey && { dpop_key: dpopKey }),
    expires_at,
  }
}

function metadataOf(pending: PendingSignIn): ServerMetadata {
  const { issuer, token_endpoint, revocation_endpoint, token_endpoint_auth_methods_supported } = pending
  const sendsIss = pending.authorization_response_iss_parameter_supported
  return {
    issuer,
    token_endpoint,
    ...(revocation_endpoint && { revocation_endpoint }),
    ...(token_endpoint_auth_methods_supported && { token_endpoint_auth_methods_supported }),
    ...(sendsIss !== undefined && { authorization_response_iss_parameter_supported: sendsIss }),
  }
}

function clientOf(
  { client_kind: kind, client_id, registration, registration_is_stored }: PendingSignIn,
  metadata: ServerMetadata,
  settings: OAuthSettings,
): ObtainedClient {
  const configured =
    kind === 'pre-registered' ? configuredClient({ settings, discovery: { metadata } }) : undefined
  if (configured) return configured
  if (registration) {
    return { kind, client: registration, registration, ...(registration_is_stored && { isStored: true }) }
  }
  return { kind, client: { client_id, token_endpoint_auth_method: 'none' } }
}

/** On a person's own machine a page asks; a web application has to know its hosts. */
function foreignHost(host: string, { issuer }: ServerMetadata): UrlRefusedError {
  return new UrlRefusedError({
    message: `The sign-in page is on ${host}, which does not belong to ${new URL(issuer).host}: nobody was sent there.`,
    remedy: `If ${host} is right, name it in \`auth.authorization_hosts\`.`,
    url: `https://${host}/`,
    purpose: 'authorization_endpoint',
  })
}
