import type { OAuthSettings } from '../definitions.ts'
import { IssuerMismatchError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import type { FlowContext } from './context.ts'
import { type Discovery, type DiscoveryRequest, discover } from './discover.ts'

/** Where the credentials of the configuration may go. */
export interface PinnedTo {
  /** The issuer that they belong to, if that is known. */
  readonly pinned: string | undefined
  /** The person says that the server has moved; `auth.issuer` holds all the same. */
  readonly acceptMove?: boolean
}

export interface PinnedDiscoveryRequest extends DiscoveryRequest, PinnedTo {}

/**
 * Discovery that ends in an error when it leads to another authorization server than the one configured or seen first:
 * whoever can change what an MCP server says must not be handed the credentials of the configuration (MCP 2026-07-28,
 * Client Registration, Authorization Server Binding).
 *
 * @throws `issuer_mismatch`, and the codes of {@link discover}
 */
export async function discoverPinned(
  { pinned, acceptMove = false, ...request }: PinnedDiscoveryRequest,
  context: FlowContext,
): Promise<Discovery> {
  const { settings, knownIssuers = [] } = request
  const known = settings.issuer ?? pinned
  const preferred = known === undefined ? knownIssuers : [known]
  const discovery = await discover({ ...request, knownIssuers: preferred }, context)
  const { issuer } = discovery.metadata
  assertPinned(issuer, settings, { pinned, acceptMove }, context)
  if (known !== undefined && issuer !== known) tellMove(issuer, known, context)
  return discovery
}

/** The credentials of the configuration go elsewhere from now on: nobody should miss that. */
function tellMove(issuer: string, before: string, { emit, server }: FlowContext): void {
  const message = `The credentials under \`auth\` now go to the authorization server ${quoteServerText(issuer)}, and no longer to ${quoteServerText(before)}.`
  emit({ type: 'warning', server, code: 'issuer_moved', message })
}

/** @throws `issuer_mismatch` where the credentials of the configuration belong to another authorization server */
export function assertPinned(
  issuer: string,
  settings: OAuthSettings,
  { pinned, acceptMove = false }: PinnedTo,
  { server }: Pick<FlowContext, 'server'>,
): void {
  // With configured metadata the configuration itself says where they belong.
  const accepted = acceptMove || settings.oauth_provider !== undefined ? undefined : pinned
  const expected = settings.issuer ?? accepted
  if (expected === undefined || issuer === expected) return
  throw new IssuerMismatchError({
    message: `${server} now names the authorization server ${quoteServerText(issuer)}; the credentials under \`auth\` belong to ${quoteServerText(expected)} and were not sent.`,
    remedy:
      settings.issuer === undefined
        ? `Ask the operator whether it has moved. If so: latchkey login --force (in a program: login(server, { force: true })), or set \`auth.issuer\` to it.`
        : 'Ask the operator whether it has moved. If so, change `auth.issuer`.',
    expected,
    actual: issuer,
  })
}
