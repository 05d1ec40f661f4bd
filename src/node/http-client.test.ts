import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { closedAfterEach } from '../../test/fixtures/closed-after-each.ts'
import { startLoopbackServer } from '../../test/fixtures/loopback-server.ts'
import { isWithinReach } from '../net/address.ts'
import { ADDRESS_REFUSED } from '../ports.ts'
import { createHttpClient } from './http-client.ts'

const opened = closedAfterEach()

/** A server that counts connections, not only requests. */
async function countingServer(host?: string) {
  let connections = 0
  const server = createServer((_request, response) => response.end('here'))
  server.on('connection', () => {
    connections += 1
  })
  await listening(server, host)
  opened.push({ close: () => closed(server) })
  const { port } = server.address() as AddressInfo
  return { port, connections: () => connections }
}

function listening(server: Server, host = '127.0.0.1'): Promise<void> {
  return new Promise((resolve) => server.listen(0, host, resolve))
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}

describe('a connection', () => {
  test('[NET-11] is not made where every address of a name is out of reach', async () => {
    const { port, connections } = await countingServer()
    const { fetch, whereabouts } = createHttpClient({ env: {}, isWithinReach })
    for (const reach of ['public', 'private'] as const) {
      const refused = fetch(`http://localhost:${port}/`, {}, reach)
      await expect(refused).rejects.toMatchObject({ cause: { code: ADDRESS_REFUSED } })
      await expect(whereabouts.assertWithin('localhost', reach)).rejects.toMatchObject({
        code: ADDRESS_REFUSED,
      })
    }
    expect(connections()).toBe(0)
    expect(await (await fetch(`http://localhost:${port}/`, {}, 'loopback')).text()).toBe('here')
    expect(connections()).toBe(1)
  })

  test('is not made to a literal address out of reach', async () => {
    const { port, connections } = await countingServer()
    const { fetch } = createHttpClient({ env: {}, isWithinReach })
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433']) {
      const refused = fetch(`http://${host}:${port}/`, {}, 'public')
      await expect(refused).rejects.toMatchObject({ cause: { code: ADDRESS_REFUSED } })
    }
    expect(connections()).toBe(0)
  })

  test('that was made for one who may reach further is not lent to another', async () => {
    const { port, connections } = await countingServer()
    const { fetch } = createHttpClient({ env: {}, isWithinReach })
    const url = `http://localhost:${port}/`
    await (await fetch(url, {}, 'any')).text()
    await expect(fetch(url, {}, 'public')).rejects.toThrow()
    await (await fetch(url, {}, 'any')).text()
    expect(connections()).toBe(1)
  })

  test('is told of before it is made, with the addresses that were judged', async () => {
    const { port } = await countingServer()
    const told: unknown[] = []
    const listen = (message: unknown) => void told.push(message)
    subscribe('latchkey:connection', listen)
    const { fetch } = createHttpClient({ env: {}, isWithinReach })
    await (await fetch(`http://localhost:${port}/`, {}, 'loopback')).text()
    unsubscribe('latchkey:connection', listen)
    expect(told).toEqual([
      { hostname: 'localhost', port, reach: 'loopback' },
      { hostname: 'localhost', addresses: expect.arrayContaining(['127.0.0.1']), reach: 'loopback' },
    ])
  })

  test('[NET-11] goes to one of the judged addresses alone where a name has several', async () => {
    const { port } = await countingServer()
    const judged: string[] = []
    const { fetch } = createHttpClient({
      env: {},
      isWithinReach: (address) => {
        judged.push(address)
        return address === '::1'
      },
    })
    // Nobody listens on ::1: a connection to 127.0.0.1, which the name has too, would succeed.
    await expect(fetch(`http://localhost:${port}/`, {}, 'public')).rejects.toMatchObject({
      cause: { code: expect.stringMatching(/ECONNREFUSED|ERR_ADDRESS_REFUSED|EADDRNOTAVAIL/) },
    })
    expect(judged).toContain('127.0.0.1')
  })
})

test('an origin without a certificate for its name is not believed to be in a private network', async () => {
  const { port, connections } = await countingServer()
  const { whereabouts } = createHttpClient({
    env: {},
    isWithinReach: (_address, reach) => reach !== 'public',
  })
  expect(await whereabouts.isPrivate(`https://localhost:${port}`)).toBe(false)
  expect(connections()).toBe(1)
})

describe('behind a proxy', () => {
  /** A real one: it tunnels every CONNECT to the one server there is. */
  async function startProxy(target: number) {
    const asked: string[] = []
    const proxy = createServer()
    proxy.on('connect', (request, client: Socket) => {
      asked.push(request.url!)
      const upstream = connect(target, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n')
        upstream.pipe(client)
        client.pipe(upstream)
      })
      for (const [one, other] of [[client, upstream] as const, [upstream, client] as const]) {
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
    })
    await listening(proxy)
    opened.push({ close: () => closed(proxy) })
    return { asked, url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
  }

  test('it is the proxy that resolves names, and nobody here claims to have judged them', async () => {
    const server = await startLoopbackServer(undefined, { intercept: () => ({ body: 'through' }) })
    opened.push(server)
    const proxy = await startProxy(Number(new URL(server.origin).port))
    const { fetch, whereabouts } = createHttpClient({
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url },
      isWithinReach,
    })
    const response = await fetch('http://nowhere.invalid/x', {}, 'public')
    expect(await response.text()).toContain('through')
    expect(proxy.asked).toEqual(['nowhere.invalid:80'])
    expect(whereabouts.judgesAll).toBe(false)
  })

  test('for http alone, https goes past it, and what servers name is judged', async () => {
    const { port, connections } = await countingServer()
    const proxy = await startProxy(port)
    // For this one it is an address as any other.
    const { fetch, whereabouts } = createHttpClient({
      env: { HTTP_PROXY: proxy.url },
      isWithinReach: (_address, reach) => reach === 'any',
    })
    // Nobody speaks TLS there: it is enough that the connection came.
    await expect(fetch(`https://127.0.0.1:${port}/`, {}, 'any')).rejects.toThrow()
    expect(connections()).toBe(1)
    expect(proxy.asked).toEqual([])
    expect(whereabouts.judgesAll).toBe(true)
  })

  test.each([
    ['this machine', {}, 'localhost'],
    ['this machine by another of its addresses', {}, '127.0.0.2'],
    ['a host in NO_PROXY', { NO_PROXY: 'localhost, other.example' }, 'localhost'],
  ])('%s is asked directly, and judged', async (_what, more, host) => {
    const { port } = await countingServer(host === 'localhost' ? undefined : host)
    const proxy = await startProxy(port)
    const env = { http_proxy: proxy.url, https_proxy: proxy.url, ...more }
    const { fetch } = createHttpClient({ env, isWithinReach })
    const asked = `http://${host}:${port}/`
    expect((await fetch(asked, {}, 'loopback')).status).toBe(200)
    await expect(fetch(asked, {}, 'public')).rejects.toMatchObject({ cause: { code: ADDRESS_REFUSED } })
    expect(proxy.asked).toEqual([])
  })
})
