import {
  ADDRESS_REFUSED,
  type NetworkOptions,
  type Reach,
  type ServerNetwork,
  type Whereabouts,
} from '../ports.ts'
import { SentLately } from '../sent-secrets.ts'
import { literalAddress } from './address.ts'
import { type ExchangeParts, exchange, reasonOf } from './exchange.ts'
import { createProtocolFetch } from './protocol-fetch.ts'
import { createUrlPolicy, refusedAddress } from './url-policy.ts'
import { createWithinReach } from './within-reach.ts'

export interface NetworkParts extends Omit<ExchangeParts, 'server' | 'sent'> {
  /** Absent: something else resolves names, and only they are judged. */
  readonly whereabouts?: Whereabouts | undefined
}

/** The network for each configured server: what it may reach depends on where the user's own server is. */
export function createNetwork({ whereabouts, ...parts }: NetworkParts) {
  return (server: string, serverUrl: string, options: NetworkOptions = {}): ServerNetwork => {
    const policy = createUrlPolicy(serverUrl, options)
    const within = createWithinReach(policy, whereabouts)
    const told = { ...parts, server, sent: new SentLately(serverUrl) }
    return {
      judgeUrl: policy.judge,
      judgePage: async (text, purpose) => {
        const url = policy.judge(text, purpose)
        if (whereabouts?.judgesAll && literalAddress(url.hostname) === undefined) {
          await within(url, (reach) => assertWithin(whereabouts, url, reach, purpose))
        }
        return url
      },
      fetch: (stage, stageOptions) => {
        if (stage !== 'mcp') return createProtocolFetch(stage, told, { policy, within }, stageOptions)
        return async (input, init = {}) => {
          const request = { input: input instanceof Request ? input : String(input), init, stage, attempt: 1 }
          if (!options.publicOnly) return exchange(told, { ...request, reach: 'any' })
          policy.judge(input instanceof Request ? input.url : String(input), 'server URL')
          return exchange(told, { ...request, reach: 'public' })
        }
      },
    }
  }
}

/** A host that cannot be resolved here is left to the browser, which may have a proxy. */
async function assertWithin(
  whereabouts: Whereabouts,
  url: URL,
  reach: Reach,
  purpose: string,
): Promise<void> {
  try {
    await whereabouts.assertWithin(url.hostname, reach)
  } catch (error) {
    if (reasonOf(error) === ADDRESS_REFUSED) throw refusedAddress(url.href, purpose, error)
  }
}
