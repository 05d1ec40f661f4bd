import type { ChallengeSummary } from '../errors/index.ts'
import { asksForMoreScope } from '../oauth/challenge.ts'
import { initialScope, unionScope } from '../oauth/scope.ts'
import { assertAlgorithmSupported } from '../oauth/signing-key.ts'
import type { FlowContext } from './context.ts'
import { discoverPinned, type PinnedTo } from './discover-pinned.ts'
import { newDpopKey } from './dpop.ts'
import { type GrantSettings, grantClient, runGrant } from './grant.ts'
import { withinPreparationLimit } from './preparation-limit.ts'
import { probe } from './probe.ts'
import { newTokenSet, type TokenSet, tokenMembers } from './token-set.ts'

export interface ObtainRequest extends PinnedTo {
  readonly serverUrl: string
  /** Sent with the probe, as with every MCP request. */
  readonly headers: Readonly<Record<string, string>>
  readonly settings: GrantSettings
  /** What the 401 or 403 said; without one the server is asked first. */
  readonly challenge: ChallengeSummary | undefined
  /** The login there was, for what was asked for before. */
  readonly previous: TokenSet | undefined
}

/**
 * Gets a token without a person: challenge, discovery, grant.
 *
 * @throws `issuer_mismatch` before anything secret is sent, `discovery_failed` and the other codes of discovery, and
 *   those of the grant
 */
export async function obtainToken(request: ObtainRequest, context: FlowContext): Promise<TokenSet> {
  const { settings, previous } = request
  const { challenge, discovery } = await withinPreparationLimit(request.serverUrl, context, (limited) =>
    findOut(request, limited),
  )
  const { metadata, resource } = discovery
  const initial = initialScope({
    configured: settings.scope,
    challenge: challenge?.scope,
    resource: discovery.scopesSupported,
    offlineAccess: false,
  })
  // A 403 names only what is missing: what was asked for before is kept (MCP authorization, Step-Up). A configured scope is all
  // that is ever asked for: nobody is there who could say yes to more.
  const scope =
    asksForMoreScope(challenge) && unionScope(settings.scope) === undefined
      ? unionScope(previous?.requested_scope, initial, challenge.scope)
      : initial
  const client = await grantClient(settings, metadata.token_endpoint_auth_methods_supported, context)
  if (client.client.signing_key) {
    assertAlgorithmSupported(
      client.client.signing_key,
      metadata.token_endpoint_auth_signing_alg_values_supported,
    )
  }
  const dpopKey = await newDpopKey(settings, metadata)
  const token = await runGrant(
    { settings, endpoint: metadata, client: client.client, scope, resource, dpopKey },
    context,
  )
  const { grant } = settings
  const tokens = newTokenSet({ discovery, client, requested: scope, token }, context)
  return { ...tokens, grant, ...(dpopKey && { dpop_key: dpopKey }) }
}

/**
 * Runs the grant of a stored login again: one request to the stored endpoint, for the scope that is configured now, else for
 * what was asked for before.
 *
 * @throws `token_request_refused`, `network_failed`, `response_invalid`, `secret_unavailable`
 */
export async function repeatGrant(
  tokens: TokenSet,
  settings: GrantSettings,
  context: FlowContext,
): Promise<TokenSet> {
  const { client } = await grantClient(settings, [tokens.token_endpoint_auth_method], context)
  const { resource, dpop_key: dpopKey } = tokens
  const scope = unionScope(settings.scope) ?? tokens.requested_scope
  const answer = await runGrant({ settings, endpoint: tokens, client, scope, resource, dpopKey }, context)
  const { expires_at: _ended, ...kept } = tokens
  return {
    ...kept,
    // RFC 6749 §5.1: no scope in the answer means the scope that was asked for.
    ...(scope !== undefined && scope !== tokens.requested_scope && { requested_scope: scope, scope }),
    token_endpoint_auth_method: client.token_endpoint_auth_method,
    ...tokenMembers(answer, context.clock.now()),
  }
}

async function findOut(request: ObtainRequest, context: FlowContext) {
  const { settings, serverUrl, headers } = request
  // With configured metadata nothing the server says can change the way.
  const challenge =
    request.challenge ?? (settings.oauth_provider ? undefined : await probe(serverUrl, headers, context))
  return { challenge, discovery: await discoverPinned({ ...request, challenge }, context) }
}
