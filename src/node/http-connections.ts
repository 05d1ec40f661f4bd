import { lookup } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { buildConnector, Dispatcher } from 'undici'
import { ADDRESS_REFUSED, type Reach, type Whereabouts } from '../ports.ts'
import * as undici from './bundled-undici.ts'
import { tellDecision } from './connection-decisions.ts'
import { goesDirect, type Proxies } from './proxy-environment.ts'

type Connect = buildConnector.connector

/**
 * Connections of our own: a name is resolved once, its addresses are judged, and one of those that were judged is connected
 * to, so that no second answer of a resolver can lead elsewhere. Connections are kept and shared by all who may reach
 * as far, never with others.
 */
export class HttpConnections implements Omit<Whereabouts, 'judgesAll'> {
  readonly #isWithinReach: (address: string, reach: Reach) => boolean
  readonly #proxies: Proxies | undefined
  readonly #dispatchers = new Map<Reach, Dispatcher>()
  /** https origin → the address that proved to be its. */
  readonly #servedFrom = new Map<string, string>()

  constructor(isWithinReach: (address: string, reach: Reach) => boolean, proxies: Proxies | undefined) {
    this.#isWithinReach = isWithinReach
    this.#proxies = proxies
    for (const url of [proxies?.httpProxy, proxies?.httpsProxy].filter(Boolean)) {
      const { hostname, port, protocol } = new URL(url!)
      tellDecision({ hostname, port: portOf(port, protocol), reach: 'any' })
    }
  }

  dispatcher(reach: Reach): Dispatcher {
    const made = this.#dispatchers.get(reach) ?? this.#makeDispatcher(reach)
    this.#dispatchers.set(reach, made)
    return made
  }

  assertWithin(hostname: string, reach: Reach): Promise<void> {
    return new Promise((resolve, reject) => {
      lookup(hostname, { all: true }, (error, found) => {
        if (error) reject(error)
        else if (found.every(({ address }) => this.#isWithinReach(address, reach))) resolve()
        else reject(new AddressRefusedError(hostname))
      })
    })
  }

  async isPrivate(origin: string): Promise<boolean> {
    if (!this.#servedFrom.has(origin)) await this.#introduce(origin)
    const address = this.#servedFrom.get(origin)
    if (address === undefined) return false
    return !this.#isWithinReach(address, 'public') && this.#isWithinReach(address, 'private')
  }

  /** Behind a proxy by a request, so that it is not gone around. Whatever goes wrong shows nothing. */
  async #introduce(origin: string): Promise<void> {
    if (!this.#proxies) return shakeHands(this.#connector('any'), new URL(origin))
    const bare = { method: 'HEAD', redirect: 'manual', dispatcher: this.dispatcher('any') } as RequestInit
    await globalThis.fetch(origin, bare).catch(() => {})
  }

  #makeDispatcher(reach: Reach): Dispatcher {
    const options = { connect: this.#connector(reach) }
    const direct = new undici.Agent(options)
    const proxies = this.#proxies
    if (!proxies) return direct
    const isLoopback = (address: string) => this.#isOnThisMachine(address)
    return new undici.EnvHttpProxyAgent({ ...options, ...proxies }).compose(
      (dispatch) => (request, handler) =>
        goesDirect(new URL(request.origin!), proxies, isLoopback)
          ? direct.dispatch(request, handler)
          : dispatch(request, handler),
    )
  }

  /** False for a name. */
  #isOnThisMachine(address: string): boolean {
    return this.#isWithinReach(address, 'loopback') && !this.#isWithinReach(address, 'private')
  }

  #connector(reach: Reach): Connect {
    const connect = undici.buildConnector({ lookup: this.#guardedLookup(reach) })
    return (options, callback) => {
      const { hostname, port, protocol, host } = options
      tellDecision({ hostname, port: portOf(port, protocol), reach })
      if (isIP(hostname) && !this.#isWithinReach(hostname, reach)) {
        callback(new AddressRefusedError(hostname), null)
        return
      }
      connect(options, (...outcome) => {
        const address = addressShownBy(outcome[1])
        if (reach === 'any' && address !== undefined) this.#servedFrom.set(`https://${host}`, address)
        callback(...outcome)
      })
    }
  }

  #guardedLookup(reach: Reach): LookupFunction {
    return (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, [])
        const addresses = found.filter(({ address }) => this.#isWithinReach(address, reach))
        tellDecision({ hostname, addresses: addresses.map(({ address }) => address), reach })
        const [first] = addresses
        if (!first) return callback(new AddressRefusedError(hostname), [])
        if (options.all) callback(null, addresses)
        else callback(null, first.address, first.family)
      })
    }
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

function portOf(port: string, protocol: string): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80)
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
