import { lookup } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Agent, buildConnector, Dispatcher } from 'undici'
import { ADDRESS_REFUSED, type Reach, type ReachingFetch, type Whereabouts } from '../ports.ts'
import { tellDecision } from './connection-decisions.ts'
import { proxiesOf } from './proxy-environment.ts'

export interface HttpClientOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The policy: whether a connection that may go as far as `reach` may be made to this address. */
  readonly isWithinReach: (address: string, reach: Reach) => boolean
}

export interface HttpClient {
  readonly fetch: ReachingFetch
  /** Absent behind a proxy, which resolves names itself. */
  readonly whereabouts?: Whereabouts
}

type Connect = buildConnector.connector
type Undici = typeof import('./bundled-undici.ts')

/**
 * Node's `fetch` on connections of our own: a name is resolved once, its addresses are judged, and one of those that were
 * judged is connected to, so that no second answer of a resolver can lead elsewhere. Connections are kept and shared
 * by all who may reach as far, never with others.
 */
export function createHttpClient({ env, isWithinReach }: HttpClientOptions): HttpClient {
  const proxies = proxiesOf(env)
  const dispatchers = new Map<Reach, Promise<Dispatcher>>()
  /** https origin → the address that proved to be its. */
  const servedFrom = new Map<string, string>()

  const guardedLookup =
    (reach: Reach): LookupFunction =>
    (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, [])
        const addresses = found.filter(({ address }) => isWithinReach(address, reach))
        tellDecision({ hostname, addresses: addresses.map(({ address }) => address), reach })
        const [first] = addresses
        if (!first) return callback(new AddressRefusedError(hostname), [])
        if (options.all) callback(null, addresses)
        else callback(null, first.address, first.family)
      })
    }

  const connectorFor = ({ buildConnector }: Undici, reach: Reach): Connect => {
    const connect = buildConnector({ lookup: guardedLookup(reach) })
    return (options, callback) => {
      const { hostname, port, protocol, host } = options
      tellDecision({ hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80), reach })
      if (isIP(hostname) && !isWithinReach(hostname, reach)) {
        callback(new AddressRefusedError(hostname), null)
        return
      }
      connect(options, (...outcome) => {
        const address = addressShownBy(outcome[1])
        if (reach === 'any' && address !== undefined) servedFrom.set(`https://${host}`, address)
        callback(...outcome)
      })
    }
  }

  const dispatcherFor = (reach: Reach): Promise<Dispatcher> => {
    const made = dispatchers.get(reach) ?? makeDispatcher(reach)
    dispatchers.set(reach, made)
    return made
  }
  const makeDispatcher = async (reach: Reach): Promise<Dispatcher> => {
    const undici = await import('./bundled-undici.ts')
    const options: Agent.Options = { connect: connectorFor(undici, reach) }
    if (!proxies) return new undici.Agent(options)
    for (const url of [proxies.httpProxy, proxies.httpsProxy].filter(Boolean)) {
      const { hostname, port, protocol } = new URL(url)
      tellDecision({ hostname, port: Number(port) || (protocol === 'https:' ? 443 : 80), reach: 'any' })
    }
    return new undici.EnvHttpProxyAgent({ ...options, ...proxies })
  }

  const whereabouts: Whereabouts = {
    assertWithin: (hostname, reach) =>
      new Promise((resolve, reject) => {
        lookup(hostname, { all: true }, (error, found) => {
          if (error) reject(error)
          else if (found.every(({ address }) => isWithinReach(address, reach))) resolve()
          else reject(new AddressRefusedError(hostname))
        })
      }),
    isPrivate: async (origin) => {
      if (!servedFrom.has(origin)) {
        await shakeHands(connectorFor(await import('./bundled-undici.ts'), 'any'), new URL(origin))
      }
      const address = servedFrom.get(origin)
      return address !== undefined && !isWithinReach(address, 'public') && isWithinReach(address, 'private')
    },
  }

  return {
    fetch: async (input, init, reach) => {
      const dispatcher = await dispatcherFor(reach)
      return globalThis.fetch(input, { ...init, dispatcher } as RequestInit)
    },
    ...(!proxies && { whereabouts }),
  }
}

/** Nobody has been asked: the name leads only where it may not. */
class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError'
  readonly code = ADDRESS_REFUSED

  constructor(hostname: string) {
    super(`${hostname} leads to no address that may be connected to`)
  }
}

/** The address at the other end of a connection on which somebody showed a certificate for the name that was asked for. */
function addressShownBy(socket: Socket | TLSSocket | null): string | undefined {
  return socket instanceof TLSSocket && socket.authorized ? socket.remoteAddress : undefined
}

/** Connects, for the certificate alone. Whatever goes wrong shows nothing. */
function shakeHands(connect: Connect, { host, hostname, protocol, port }: URL): Promise<void> {
  return new Promise((resolve) => {
    connect({ host, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), protocol, port }, (_error, socket) => {
      socket?.destroy()
      resolve()
    })
  })
}
