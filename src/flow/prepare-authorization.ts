import type { OAuthSettings } from '../definitions.ts'
import type { ChallengeSummary } from '../errors/index.ts'
import { asksForMoreScope } from '../oauth/challenge.ts'
import { initialScope, unionScope } from '../oauth/scope.ts'
import type { AuthorizationCodeRequest } from './authorization-code.ts'
import type { FlowContext } from './context.ts'
import { type Discovery, discover } from './discover.ts'
import { discoverPinned } from './discover-pinned.ts'
import { missingDpop, newDpopKey } from './dpop.ts'
import { type ClientRequest, obtainClient } from './obtain-client.ts'
import { withinPreparationLimit } from './preparation-limit.ts'
import { probe } from './probe.ts'
import type { ClientRegistration, TokenSet } from './token-set.ts'

export interface SignInRequest {
  readonly serverUrl: string
  /** Sent with the probe, as with every MCP request. */
  readonly headers: Readonly<Record<string, string>>
  readonly settings: OAuthSettings
  /** What the 401 said; without one the server is asked first. */
  readonly challenge: ChallengeSummary | undefined
  /** The login there was, for its issuer and the scope asked for before. */
  readonly previous: TokenSet | undefined
  /** The issuer that a configured client belongs to, if that is known. */
  readonly pinned: string | undefined
  /** The person may say, with `force`, that the server has moved to another authorization server. */
  readonly mayMove: boolean
  readonly registrations: readonly ClientRegistration[]
  /** Ask the person again even where the authorization server remembers them, and register anew. */
  readonly force?: boolean
}

/** All that an authorization request says, but for the prompt; and what the client was obtained with, to replace it. */
export interface PreparedAuthorization
  extends Pick<AuthorizationCodeRequest, 'discovery' | 'client' | 'scope' | 'dpopKey'> {
  readonly clientRequest: ClientRequest
}

/**
 * What has to be known before a person is asked: challenge, authorization server, scope, client.
 *
 * @throws `dpop_required`, every code of discovery and of registration
 */
export function prepareAuthorization(
  request: SignInRequest,
  redirectUri: string,
  context: FlowContext,
): Promise<PreparedAuthorization> {
  return withinPreparationLimit(request.serverUrl, context, (limited) =>
    prepare(request, redirectUri, limited),
  )
}

async function prepare(
  request: SignInRequest,
  redirectUri: string,
  context: FlowContext,
): Promise<PreparedAuthorization> {
  const { serverUrl, settings, registrations } = request
  // With configured metadata nothing the server says can change the way.
  const challenge =
    request.challenge ??
    (settings.oauth_provider ? undefined : await probe(serverUrl, request.headers, context))
  const missing = missingDpop(context.server, challenge, settings)
  if (missing) throw missing
  const discovery = await discoverFor(request, challenge, context)
  const dpopKey = await newDpopKey(settings, discovery.metadata)
  const scope = scopeOf(request, discovery, challenge)
  const clientRequest = { serverUrl, settings, discovery, challenge, redirectUri, scope, registrations }
  const client = await obtainClient(clientRequest, context)
  return { discovery, client, scope, dpopKey, clientRequest }
}

/** A registered client follows the server to wherever it moves; a configured one belongs to one authorization server. */
function discoverFor(
  { serverUrl, settings, previous, pinned, mayMove, force = false }: SignInRequest,
  challenge: ChallengeSummary | undefined,
  context: FlowContext,
): Promise<Discovery> {
  const where = { serverUrl, settings, challenge }
  if (settings.client_id === undefined) {
    return discover({ ...where, knownIssuers: previous ? [previous.issuer] : [] }, context)
  }
  return discoverPinned({ ...where, pinned, acceptMove: force && mayMove }, context)
}

/** OpenID Connect Core §3.1.2.1: `offline_access` needs consent, `login` makes the server ask who it is. */
export function promptFor(force: boolean | undefined, scope: string | undefined): string | undefined {
  return [force && 'login', asksOffline(scope) && 'consent'].filter(Boolean).join(' ') || undefined
}

export function asksOffline(scope: string | undefined): boolean {
  return scope?.split(' ').includes('offline_access') ?? false
}

function scopeOf(
  { settings, previous }: SignInRequest,
  discovery: Discovery,
  challenge: ChallengeSummary | undefined,
): string | undefined {
  const initial = initialScope({
    configured: settings.scope,
    challenge: challenge?.scope,
    resource: discovery.scopesSupported,
    offlineAccess:
      settings.offline_access !== false &&
      (discovery.metadata.scopes_supported?.includes('offline_access') ?? false),
  })
  // A 403 names only what is missing: what was asked for before is kept (MCP authorization, Step-Up).
  return asksForMoreScope(challenge)
    ? unionScope(previous?.requested_scope, initial, challenge.scope)
    : initial
}
