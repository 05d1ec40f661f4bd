import { type ChallengeSummary, IssuerMismatchError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { initialScope, unionScope } from '../oauth/scope.ts'
import type { FlowContext } from './context.ts'
import { type Discovery, discover } from './discover.ts'
import { type GrantSettings, grantClient, runGrant } from './grant.ts'
import { probe } from './probe.ts'
import { newTokenSet, type TokenSet, tokenMembers } from './token-set.ts'

export interface ObtainRequest {
  readonly serverUrl: string
  /** Sent with the probe, as with every MCP request. */
  readonly headers: Readonly<Record<string, string>>
  readonly settings: GrantSettings
  /** What the 401 or 403 said; without one the server is asked first. */
  readonly challenge: ChallengeSummary | undefined
  /** The login there was: its issuer is the only one that is given the credentials. */
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
  const challenge = request.challenge ?? (await firstChallenge(request, context))
  const discovery = await discoverPinned({ ...request, challenge }, context)
  const { metadata, resource } = discovery
  const initial = initialScope({
    configured: settings.scope,
    challenge: challenge?.scope,
    resource: discovery.scopesSupported,
    offlineAccess: false,
  })
  // A 403 names only what is missing: what was asked for before is kept (MCP authorization, Step-Up).
  const scope =
    challenge?.error === 'insufficient_scope'
      ? unionScope(previous?.requested_scope, initial, challenge.scope)
      : initial
  const client = await grantClient(settings, metadata.token_endpoint_auth_methods_supported, context)
  const token = await runGrant(
    { settings, endpoint: metadata, client: client.client, scope, resource },
    context,
  )
  const { grant } = settings
  return { ...newTokenSet({ discovery, client, requested: scope, token }, context), grant }
}

/**
 * Runs the grant of a stored login again: one request to the stored endpoint, for what was asked for before.
 *
 * @throws `token_request_refused`, `network_failed`, `response_invalid`, `secret_unavailable`
 */
export async function repeatGrant(
  tokens: TokenSet,
  settings: GrantSettings,
  context: FlowContext,
): Promise<TokenSet> {
  const { client } = await grantClient(settings, [tokens.token_endpoint_auth_method], context)
  const { requested_scope: scope, resource } = tokens
  const answer = await runGrant({ settings, endpoint: tokens, client, scope, resource }, context)
  const { expires_at: _ended, ...kept } = tokens
  return {
    ...kept,
    token_endpoint_auth_method: client.token_endpoint_auth_method,
    ...tokenMembers(answer, context.clock.now()),
  }
}

/**
 * Discovery that ends in an error when it leads to another authorization server than the one configured or seen first:
 * whoever can change what an MCP server says must not be handed the credentials of a program.
 */
export async function discoverPinned(
  { serverUrl, settings, challenge, previous }: Omit<ObtainRequest, 'headers'>,
  context: FlowContext,
): Promise<Discovery> {
  const pinned = settings.issuer ?? previous?.issuer
  const knownIssuers = pinned === undefined ? [] : [pinned]
  const discovery = await discover({ serverUrl, settings, challenge, knownIssuers }, context)
  const { issuer } = discovery.metadata
  if (pinned === undefined || issuer === pinned) return discovery
  throw new IssuerMismatchError({
    message: `${context.server} now names the authorization server ${quoteServerText(issuer)}; the credentials under \`auth\` belong to ${quoteServerText(pinned)} and were not sent.`,
    remedy:
      settings.issuer === undefined
        ? `Ask the operator whether it has moved. If so: latchkey login --force (in a program: login(server, { force: true })), or set \`auth.issuer\` to it.`
        : 'Ask the operator whether it has moved. If so, change `auth.issuer`.',
    expected: pinned,
    actual: issuer,
  })
}

/** With configured metadata nothing the server says can change the way. */
function firstChallenge({ settings, serverUrl, headers }: ObtainRequest, context: FlowContext) {
  return settings.oauth_provider ? undefined : probe(serverUrl, headers, context)
}
