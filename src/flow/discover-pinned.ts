import { IssuerMismatchError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import type { FlowContext } from './context.ts'
import { type Discovery, type DiscoveryRequest, discover } from './discover.ts'
import type { TokenSet } from './token-set.ts'

export interface PinnedDiscoveryRequest extends Omit<DiscoveryRequest, 'knownIssuers'> {
  /** The login there was: its issuer is the one that the credentials belong to. */
  readonly previous: Pick<TokenSet, 'issuer'> | undefined
  /** The person says that the server has moved; `auth.issuer` holds all the same. */
  readonly acceptMove?: boolean
}

/**
 * Discovery that ends in an error when it leads to another authorization server than the one configured or seen first:
 * whoever can change what an MCP server says must not be handed the credentials of the configuration (MCP 2026-07-28,
 * Client Registration, Authorization Server Binding).
 *
 * @throws `issuer_mismatch`, and the codes of {@link discover}
 */
export async function discoverPinned(
  { previous, acceptMove = false, ...request }: PinnedDiscoveryRequest,
  context: FlowContext,
): Promise<Discovery> {
  const { settings } = request
  const known = settings.issuer ?? previous?.issuer
  const discovery = await discover({ ...request, knownIssuers: known === undefined ? [] : [known] }, context)
  const pinned = settings.issuer ?? (acceptMove ? undefined : previous?.issuer)
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
