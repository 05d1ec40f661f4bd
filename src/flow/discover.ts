import type { OAuthSettings } from '../definitions.ts'
import type { ChallengeSummary, DiscoveryAttempt } from '../errors/index.ts'
import { type ResourceMetadata, resourceMetadataUrls } from '../oauth/resource-metadata.ts'
import { assertPkceSupported, defaultServerMetadata, type ServerMetadata } from '../oauth/server-metadata.ts'
import type { FlowContext } from './context.ts'
import { discoveryFailure } from './discovery-failure.ts'
import { DiscoverySearch } from './discovery-search.ts'

export interface DiscoveryRequest {
  readonly serverUrl: string
  readonly settings: OAuthSettings
  /** What the 401 said, where there was one. */
  readonly challenge: ChallengeSummary | undefined
  /** Issuers this person is signed in with already: preferred when the server names several. */
  readonly knownIssuers?: readonly string[]
}

/** Everything that is known before a client is chosen. */
export interface Discovery {
  readonly metadata: ServerMetadata
  /** RFC 8707 `resource` to send; `undefined` when turned off. */
  readonly resource: string | undefined
  readonly scopesSupported: readonly string[] | undefined
  readonly source: 'resource metadata' | 'configuration' | 'origin metadata' | 'default endpoints'
  readonly attempts: readonly DiscoveryAttempt[]
}

/**
 * Finds the authorization server of an MCP server: configured, else by protected resource metadata (challenge, path,
 * root), else the 2025-03-26 way (metadata at the origin, then default endpoints).
 *
 * @throws `discovery_failed`, `issuer_mismatch`, `resource_mismatch`, `pkce_unsupported`, `network_failed`, `url_refused`
 */
export async function discover(request: DiscoveryRequest, context: FlowContext): Promise<Discovery> {
  const found = await find(request, context)
  const { metadata } = found
  const { grant } = request.settings
  // Absent in configured metadata means S256: the user vouches for it. A list is believed wherever it stands.
  const vouched = found.source === 'configuration' || acceptsMissingPkce(request)
  const isAsked = !vouched || metadata.code_challenge_methods_supported !== undefined
  // Only a code needs PKCE.
  if (isAsked && grant === undefined) assertPkceSupported(metadata)
  for (const name of [
    'authorization_endpoint',
    'token_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ] as const) {
    const endpoint = metadata[name]
    if (endpoint !== undefined) context.judgeUrl(endpoint, name)
  }
  context.emit({
    type: 'server_metadata_found',
    server: context.server,
    issuer: metadata.issuer,
    source: found.source,
    ...(metadata.authorization_endpoint && { authorization_endpoint: metadata.authorization_endpoint }),
    token_endpoint: metadata.token_endpoint,
    ...(metadata.registration_endpoint && { registration_endpoint: metadata.registration_endpoint }),
  })
  return { ...found, resource: resourceToSend(request.settings, found.resource) }
}

async function find(request: DiscoveryRequest, context: FlowContext): Promise<Discovery> {
  const { serverUrl, settings, challenge } = request
  const canonical = canonicalResource(serverUrl)
  if (settings.oauth_provider) {
    const metadata = settings.oauth_provider.metadata as ServerMetadata
    return { ...configured(metadata, challenge, context), resource: canonical }
  }
  const accept = { missingPkce: acceptsMissingPkce(request) || settings.grant !== undefined }
  const search = new DiscoverySearch(context, accept, settings.grant && ['token_endpoint'])
  const resourceMetadata = await findResourceMetadata(search, request)
  if (resourceMetadata?.authorization_servers.length) {
    const metadata = await search.firstServer(
      prefer(resourceMetadata.authorization_servers, request.knownIssuers),
    )
    if (!metadata) throw discoveryFailure(request, search.attempts)
    return {
      metadata,
      resource: resourceMetadata.resource,
      scopesSupported: resourceMetadata.scopes_supported,
      source: 'resource metadata',
      attempts: search.attempts,
    }
  }
  const rest = {
    resource: resourceMetadata?.resource ?? canonical,
    scopesSupported: resourceMetadata?.scopes_supported,
    attempts: search.attempts,
  }
  const metadata = await search.originServer(serverUrl)
  if (metadata) return { ...rest, metadata, source: 'origin metadata' }
  const defaults = defaultServerMetadata(serverUrl)
  if (!(await mayHaveDefaultEndpoints(defaults, search, request)))
    throw discoveryFailure(request, search.attempts)
  return { ...rest, metadata: defaults, source: 'default endpoints' }
}

function acceptsMissingPkce({ settings }: DiscoveryRequest): boolean {
  return settings.missing_pkce_metadata === 'accept'
}

function configured(
  metadata: ServerMetadata,
  challenge: ChallengeSummary | undefined,
  { emit, server }: FlowContext,
): Omit<Discovery, 'resource'> {
  if (challenge?.resource_metadata) {
    emit({
      type: 'challenge_ignored',
      server,
      resource_metadata: challenge.resource_metadata,
      reason: 'the configuration names the authorization server (oauth_provider)',
    })
  }
  return { metadata, scopesSupported: undefined, source: 'configuration', attempts: [] }
}

async function findResourceMetadata(
  search: DiscoverySearch,
  { serverUrl, challenge }: DiscoveryRequest,
): Promise<ResourceMetadata | undefined> {
  const named = challenge?.resource_metadata
  const urls = named === undefined ? resourceMetadataUrls(serverUrl) : [named]
  const metadata = await search.firstResource(urls, serverUrl)
  // A named document that cannot be read is not replaced by a guess: that could silently switch the issuer.
  if (!metadata && named !== undefined) throw discoveryFailure({ serverUrl, challenge }, search.attempts)
  return metadata
}

/** 2025-03-26: only a server that asks for Bearer, or for nothing named, and does not answer 404 there. */
async function mayHaveDefaultEndpoints(
  defaults: ReturnType<typeof defaultServerMetadata>,
  search: DiscoverySearch,
  { challenge, settings }: DiscoveryRequest,
): Promise<boolean> {
  // A program's credentials are sent nowhere on a guess.
  if (challenge === undefined || settings.grant !== undefined) return false
  if (challenge.scheme !== undefined && challenge.scheme !== 'bearer') return false
  // A dynamic client finds out when it registers; a configured one must not open a browser on a 404.
  return settings.client_id === undefined || (await search.exists(defaults.authorization_endpoint))
}

function prefer(issuers: readonly string[], known: readonly string[] = []): string[] {
  return [...issuers].sort((a, b) => Number(known.includes(b)) - Number(known.includes(a)))
}

/**
 * RFC 8707 resource of a configured URL: no fragment, no lone slash (MCP authorization, Canonical Server URI), and no
 * query, which may hold a key and would stand in the browser's history.
 */
function canonicalResource(serverUrl: string): string {
  const url = new URL(serverUrl)
  url.hash = ''
  url.search = ''
  return url.pathname === '/' ? url.origin : url.href
}

function resourceToSend({ resource }: OAuthSettings, discovered: string | undefined): string | undefined {
  if (resource === 'off') return undefined
  return resource ?? discovered
}
