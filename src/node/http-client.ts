import type { Reach, ReachingFetch, Whereabouts } from '../ports.ts'
import type { HttpConnections } from './http-connections.ts'
import { checkedProxies, proxiesOf } from './proxy-environment.ts'

export interface HttpClientOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The policy: whether a connection that may go as far as `reach` may be made to this address. */
  readonly isWithinReach: (address: string, reach: Reach) => boolean
}

export interface HttpClient {
  readonly fetch: ReachingFetch
  readonly whereabouts: Whereabouts
}

/** Node's `fetch` on connections of our own, which are loaded with the first request. */
export function createHttpClient({ env, isWithinReach }: HttpClientOptions): HttpClient {
  const proxies = proxiesOf(env)
  let loading: Promise<HttpConnections> | undefined
  const load = () => {
    loading ??= import('./http-connections.ts').then(
      ({ HttpConnections }) => new HttpConnections(isWithinReach, proxies && checkedProxies(proxies)),
    )
    return loading
  }
  const whereabouts: Whereabouts = {
    // What a server names is https, or on this machine.
    judgesAll: !proxies?.httpsProxy,
    assertWithin: async (hostname, reach) => (await load()).assertWithin(hostname, reach),
    isPrivate: async (origin) => (await load()).isPrivate(origin),
  }
  return {
    fetch: async (input, init, reach) => {
      const dispatcher = (await load()).dispatcher(reach)
      return globalThis.fetch(input, { ...init, dispatcher } as RequestInit)
    },
    whereabouts,
  }
}
