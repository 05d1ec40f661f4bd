import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UnsupportedError } from '../errors/index.ts'
import type { RedirectAddress } from '../ports.ts'
import { keepRoom } from './loopback-listener-room.ts'

export type LoopbackIp = '127.0.0.1' | '::1'

/** The servers that listen on one port, one for each address. */
export type LoopbackServers = Map<LoopbackIp, Server>

const ipsOf: Readonly<Record<RedirectAddress['host'], readonly LoopbackIp[]>> = {
  localhost: ['127.0.0.1', '::1'],
  '127.0.0.1': ['127.0.0.1'],
  '[::1]': ['::1'],
}

/** The port cannot be had: somebody else listens there, or this user may not. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError'
  readonly port: number
  readonly errno: string

  constructor(port: number, cause: NodeJS.ErrnoException) {
    super(`port ${port}: ${cause.code}`, { cause })
    this.port = port
    this.errno = cause.code ?? ''
  }
}

/**
 * Listens on every address of `host` that is not in `servers` yet, and adds it there. A machine without one of the two
 * families is fine for `localhost`; an address that somebody else holds is not, or the browser could be sent to them.
 * After a failure nothing that was opened here stays open.
 */
export async function bindLoopback(
  servers: LoopbackServers,
  host: RedirectAddress['host'],
  port: number,
  handler: RequestListener,
): Promise<void> {
  const opened: LoopbackIp[] = []
  let absent: NodeJS.ErrnoException | undefined
  try {
    for (const ip of ipsOf[host]) {
      if (servers.has(ip)) continue
      const server = createLoopbackServer(handler)
      // With port 0 the first address chooses and the second must get the same.
      const failure = await listen(server, ip, portOf(servers) ?? port)
      if (failure === undefined) {
        servers.set(ip, server)
        opened.push(ip)
      } else if (failure.code === 'EADDRNOTAVAIL' || failure.code === 'EAFNOSUPPORT') absent = failure
      else if (failure.code === 'EADDRINUSE' || failure.code === 'EACCES') {
        throw new PortTakenError(portOf(servers) ?? port, failure)
      } else throw cannotListen(host, failure)
    }
    if (!ipsOf[host].some((ip) => servers.has(ip))) throw cannotListen(host, absent)
  } catch (error) {
    for (const ip of opened) {
      await closeServer(servers.get(ip)!)
      servers.delete(ip)
    }
    throw error
  }
}

export function portOf(servers: LoopbackServers): number | undefined {
  const [server] = servers.values()
  return server && (server.address() as AddressInfo).port
}

/** Stops listening and ends every connection, idle ones that a browser opened ahead included. */
export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function createLoopbackServer(handler: RequestListener): Server {
  const server = createServer(
    {
      // Cookies of `localhost` belong to all ports: a developer's browser brings along those of every project.
      maxHeaderSize: 64 * 1024,
      headersTimeout: 10_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 2000,
      // One without `Host` is ours to refuse, with the headers that every answer has.
      requireHostHeader: false,
    },
    handler,
  )
  keepRoom(server)
  // Without these Node answers by itself: it invites the body, or says 417.
  server.on('checkContinue', handler).on('checkExpectation', handler)
  return server
}

function listen(server: Server, host: LoopbackIp, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true, ipv6Only: host === '::1' }, () => {
      server.off('error', resolve)
      // A connection that cannot be accepted must not end the program.
      server.on('error', () => {})
      resolve(undefined)
    })
  })
}

function cannotListen(host: string, cause: NodeJS.ErrnoException | undefined): UnsupportedError {
  return new UnsupportedError({
    message: `This computer does not let a program listen on ${host} (${cause?.code ?? 'no address'}), so the browser cannot hand the sign-in back.`,
    remedy: 'Sign in on a computer with a loopback interface.',
    cause,
  })
}
