import type { OAuthSettings } from '../definitions.ts'
import { type ChallengeSummary, DpopRequiredError, UnsupportedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { DpopProver } from '../oauth/dpop.ts'
import { chooseDpopAlgorithm, DPOP_ALGORITHMS, type DpopKey, generateDpopKey } from '../oauth/dpop-key.ts'
import type { RequestContext } from '../oauth/request-options.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import type { StageOptions } from '../ports.ts'
import type { FlowContext } from './context.ts'

/**
 * A fresh key for a new login, where `auth.dpop` asks for one.
 *
 * @throws `unsupported` when the authorization server takes none of our signature algorithms
 */
export async function newDpopKey(
  { dpop }: OAuthSettings,
  metadata: ServerMetadata,
): Promise<DpopKey | undefined> {
  if (!dpop) return undefined
  // Metadata of the configuration is as somebody wrote it.
  const listed: unknown = metadata.dpop_signing_alg_values_supported
  const supported = Array.isArray(listed) ? listed.map(String) : undefined
  const algorithm = chooseDpopAlgorithm(supported)
  if (algorithm) return generateDpopKey(algorithm)
  throw new UnsupportedError({
    message: `${new URL(metadata.issuer).host} takes DPoP proofs signed with ${supported?.map((name) => quoteServerText(name, 20)).join(', ') || 'no algorithm'}; latchkey signs with ${DPOP_ALGORITHMS.join(', ')}.`,
    remedy: 'Ask its operator to enable ES256, or remove `auth.dpop` to use bearer tokens.',
  })
}

/** What a token request works with: with a key, each try carries a proof of its own. */
export function tokenRequestContext(
  key: DpopKey | undefined,
  { fetch, clock }: FlowContext,
  options: Pick<StageOptions, 'repeatable' | 'tries'> = {},
): RequestContext {
  if (!key) return { fetch: fetch('token', options) }
  const dpop = new DpopProver(key, clock)
  return { fetch: fetch('token', { ...options, sign: dpop.sign }), dpop }
}

/** The error for a server that takes nothing but bound tokens, where `auth.dpop` is not set; else `undefined`. */
export function missingDpop(
  server: string,
  challenge: ChallengeSummary | undefined,
  { dpop }: OAuthSettings,
): DpopRequiredError | undefined {
  if (dpop || challenge?.scheme !== 'dpop') return undefined
  return new DpopRequiredError({
    message: `${server} takes only tokens that are bound to a key (DPoP).`,
    remedy: 'Set `auth.dpop` to true (`latchkey login --dpop` on the command line), and sign in.',
    server,
  })
}
