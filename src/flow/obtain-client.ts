import type { OAuthSettings } from '../definitions.ts'
import {
  type ChallengeSummary,
  type DiscoveryFailedError,
  RegistrationRefusedError,
  RegistrationUnavailableError,
} from '../errors/index.ts'
import type { ClientKind } from '../events.ts'
import { type ClientInformation, chooseAuthenticationMethod } from '../oauth/client-authentication.ts'
import { processRegistration, requestRegistration } from '../oauth/client-registration.ts'
import { coversScope } from '../oauth/scope.ts'
import type { FlowContext } from './context.ts'
import type { Discovery } from './discover.ts'
import { discoveryFailure } from './discovery-failure.ts'
import type { ClientRegistration } from './token-set.ts'

export interface ObtainedClient {
  readonly kind: ClientKind
  readonly client: ClientInformation
  /** To be stored once the login succeeded; absent for a configured client. */
  readonly registration?: ClientRegistration
  /** The registration was stored: its server may have forgotten it since. */
  readonly isStored?: true
}

export interface ClientRequest {
  readonly serverUrl: string
  readonly settings: OAuthSettings
  readonly discovery: Discovery
  /** What the 401 said, for the error of a server that turns out to have no authorization server. */
  readonly challenge: ChallengeSummary | undefined
  readonly redirectUri: string
  readonly scope: string | undefined
  /** Registrations of this account that are stored for this server. */
  readonly registrations: readonly ClientRegistration[]
}

/**
 * The client to sign in with: pre-registered, else described by a Client ID Metadata Document where the server reads
 * them and has not refused this one before, else stored, else registered now (RFC 7591).
 * A configured client never calls the registration endpoint.
 *
 * @throws `registration_unavailable`, `registration_refused`, `network_failed`
 */
export async function obtainClient(request: ClientRequest, context: FlowContext): Promise<ObtainedClient> {
  const document = request.settings.client_metadata_url
  const obtained =
    configuredClient(request) ??
    (document === undefined ? undefined : storedClient(request, context, document)) ??
    documentedClient(request) ??
    storedClient(request, context) ??
    (await registerClient(request, context))
  return selected(obtained, request, context)
}

/**
 * The client to go on with after the server refused this one: registered now, and instead of one that was stored or
 * described by a document. `undefined` where the refusal stands: for a configured client, and for one that is new.
 *
 * @throws `registration_refused`, `network_failed`
 */
export async function replaceClient(
  { kind, client, isStored }: ObtainedClient,
  request: ClientRequest,
  context: FlowContext,
): Promise<ObtainedClient | undefined> {
  const isDocument = kind === 'metadata-document'
  if (!isStored && !isDocument) return undefined
  if (request.discovery.metadata.registration_endpoint === undefined) return undefined
  const replacement = await registerClient(request, context, isDocument ? client.client_id : undefined)
  return selected(replacement, request, context)
}

function selected(obtained: ObtainedClient, request: ClientRequest, context: FlowContext): ObtainedClient {
  context.emit({
    type: 'client_selected',
    server: context.server,
    kind: obtained.kind,
    client_id: obtained.client.client_id,
    issuer: request.discovery.metadata.issuer,
    redirect_uri: request.redirectUri,
  })
  return obtained
}

/** The client of the configuration, with the method the server advertises for it. */
export function configuredClient({
  settings,
  discovery: { metadata },
}: Pick<ClientRequest, 'settings'> & { readonly discovery: Pick<Discovery, 'metadata'> }):
  | ObtainedClient
  | undefined {
  const { client_id, client_secret } = settings
  if (client_id === undefined) return undefined
  const hasSecret = client_secret !== undefined
  const method = chooseAuthenticationMethod(metadata.token_endpoint_auth_methods_supported, hasSecret)
  return {
    kind: 'pre-registered',
    client: { client_id, ...(hasSecret && { client_secret }), token_endpoint_auth_method: method },
  }
}

/** The URL of the document is the client's id, at every authorization server that reads such documents (SEP-991). */
function documentedClient({ settings, discovery: { metadata } }: ClientRequest): ObtainedClient | undefined {
  const { client_metadata_url } = settings
  if (client_metadata_url === undefined || metadata.client_id_metadata_document_supported !== true)
    return undefined
  return {
    kind: 'metadata-document',
    client: { client_id: client_metadata_url, token_endpoint_auth_method: 'none' },
  }
}

function storedClient(
  { registrations, discovery, redirectUri, scope, settings }: ClientRequest,
  { clock }: FlowContext,
  refusedDocument?: string,
): ObtainedClient | undefined {
  const now = clock.now() / 1000
  const registration = registrations.find(
    (stored) =>
      stored.issuer === discovery.metadata.issuer &&
      stored.redirect_uri === redirectUri &&
      stored.doubted_at === undefined &&
      mayGoTo(discovery.metadata.token_endpoint, stored) &&
      coversScope(stored.scope, scope) &&
      (stored.dpop_bound_access_tokens ?? false) === (settings.dpop ?? false) &&
      (stored.client_secret_expires_at === undefined || stored.client_secret_expires_at > now) &&
      (refusedDocument === undefined || stored.refused_document === refusedDocument),
  )
  return registration && { kind: 'dynamic', client: registration, registration, isStored: true }
}

/** A secret goes to the token endpoint that it was stored with, whatever else now has the name of its issuer. */
function mayGoTo(endpoint: string, { client_secret, token_endpoint }: ClientRegistration): boolean {
  return client_secret === undefined || token_endpoint === undefined || token_endpoint === endpoint
}

async function registerClient(
  request: ClientRequest,
  context: FlowContext,
  refusedDocument?: string,
): Promise<ObtainedClient> {
  const { discovery, redirectUri, scope, settings } = request
  const dpop = settings.dpop ?? false
  const { metadata } = discovery
  if (metadata.registration_endpoint === undefined) throw unavailable(metadata.issuer, redirectUri)
  const asked = { clientName: context.clientName, redirectUri, scope, dpop }
  const answer = await requestRegistration(metadata, asked, {
    fetch: context.fetch('registration'),
    ...(context.signal && { signal: context.signal }),
  })
  try {
    const registered = processRegistration(answer, metadata, asked)
    const registration: ClientRegistration = {
      ...registered,
      issuer: metadata.issuer,
      redirect_uri: redirectUri,
      token_endpoint: metadata.token_endpoint,
      ...(scope !== undefined && { scope }),
      ...(dpop && { dpop_bound_access_tokens: true }),
      ...(refusedDocument !== undefined && { refused_document: refusedDocument }),
      created_at: Math.floor(context.clock.now() / 1000),
    }
    return { kind: 'dynamic', client: registration, registration }
  } catch (error) {
    throw missingDefaultEndpoint(error, request, answer.contentType) ?? error
  }
}

/** The default `/register` of 2025-03-26 that is not there means: there is no authorization server here at all. */
function missingDefaultEndpoint(
  error: unknown,
  { discovery, serverUrl, challenge }: ClientRequest,
  contentType: string | undefined,
): DiscoveryFailedError | undefined {
  const { source, metadata, attempts } = discovery
  if (source !== 'default endpoints' || !(error instanceof RegistrationRefusedError) || error.error)
    return undefined
  const attempt = {
    url: metadata.registration_endpoint!,
    status: error.status,
    contentType,
    outcome: 'registers no client',
  }
  return discoveryFailure({ serverUrl, challenge }, [...attempts, attempt])
}

function unavailable(issuer: string, redirectUri: string): RegistrationUnavailableError {
  const host = new URL(issuer).host
  const remedy =
    host === 'github.com'
      ? [
          'GitHub registers no clients by itself. Create an OAuth App (GitHub → Settings → Developer settings → OAuth Apps → New):',
          `homepage http://localhost:${new URL(redirectUri).port}, authorization callback URL ${redirectUri}`,
          'Then set `auth.client_id`, `auth.client_secret` and `auth.scope: "repo read:user"`.',
        ]
      : [
          `Create an OAuth client at ${host} (its developer settings; type native or desktop, where it asks), with exactly this redirect URI: ${redirectUri}`,
          'Then set `auth.client_id`, `auth.client_secret` if it gives you one, and `auth.scope` if it needs scopes.',
        ]
  return new RegistrationUnavailableError({
    message: `${host} does not register clients by itself, and no \`client_id\` is configured.`,
    remedy: remedy.join('\n'),
    issuer,
    redirectUri,
  })
}
