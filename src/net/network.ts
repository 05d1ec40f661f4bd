import type { ServerNetwork } from '../ports.ts'
import { type ExchangeParts, exchange } from './exchange.ts'
import { createProtocolFetch } from './protocol-fetch.ts'
import { createUrlPolicy } from './url-policy.ts'

/** The network for each configured server: what it may reach depends on where the user's own server is. */
export function createNetwork(parts: Omit<ExchangeParts, 'server'>) {
  return (server: string, serverUrl: string, configured?: readonly string[]): ServerNetwork => {
    const policy = createUrlPolicy(serverUrl, configured)
    const told = { ...parts, server }
    return {
      judgeUrl: policy.judge,
      fetch: (stage, options) => {
        if (stage !== 'mcp') return createProtocolFetch(stage, told, policy, options)
        return (input, init = {}) =>
          exchange(told, { input: input instanceof Request ? input : String(input), init, stage, attempt: 1 })
      },
    }
  }
}
