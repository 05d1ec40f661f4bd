import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rawRequest } from '../../test/fixtures/raw-http.ts'
import type { ExpectedRedirect, PendingRedirect, RedirectListener } from '../ports.ts'
import { createLoopbackReceiver } from './loopback-receiver.ts'

// What any program on the machine, and any page in the browser, can do to a port that waits for a callback.

const expected: ExpectedRedirect = {
  state: 'state-of-the-real-sign-in',
  authorizationUrl: 'https://as.example/authorize?state=state-of-the-real-sign-in',
  serverName: 'linear',
  serverHost: 'mcp.linear.app',
  loginCommand: 'latchkey login linear',
  authorizationHost: 'as.example',
}

let listener: RedirectListener
let signIn: PendingRedirect
let sockets: Socket[]
let Host: string
const target = `/callback?code=the-code&state=${expected.state}`

beforeEach(async () => {
  listener = await createLoopbackReceiver().listen({
    host: '127.0.0.1',
    port: 0,
    path: '/callback',
    alternatives: [],
  })
  signIn = listener.expect(expected)
  sockets = []
  Host = `Host: 127.0.0.1:${listener.port}\r\n`
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await listener.close()
})

/** A connection that says `text` and then nothing more. */
async function stuck(text = ''): Promise<Socket> {
  const socket = connect(listener.port, '127.0.0.1').on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  if (text !== '') socket.write(text)
  return socket
}

const get = (path: string, headers = ''): Promise<string> =>
  rawRequest(listener.port, `GET ${path} HTTP/1.1\r\n${Host}${headers}\r\n`)

/** Nothing has counted yet, and the real callback is taken, held, and led to its page. */
async function expectRealCallbackToWin(): Promise<void> {
  const pending = Symbol('pending')
  const nothing = sleep(30, pending)
  expect(await Promise.race([signIn.response.catch(() => undefined), nothing])).toBe(pending)
  const answer = get(target)
  expect((await signIn.response).get('code')).toBe('the-code')
  signIn.finish({ kind: 'success' })
  const donePath = /^HTTP\/1\.1 303 .*^location: (\S+)\r$/ims.exec(await answer)?.[1]
  expect(await get(donePath ?? '/missing')).toContain('Signed in to linear')
}

describe('connections that are held open do not keep the browser out', () => {
  it.each([
    ['that say nothing', ''],
    ['in the middle of their first line', 'GET /callback?code=x'],
    ['in the middle of their head', 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: '],
    ['in the middle of a body', 'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n'],
  ])('300 %s', async (_what, text) => {
    for (let n = 0; n < 300; n++) await stuck(text)
    await expectRealCallbackToWin()
  })

  it('300 that ask for pages and read no answer', async () => {
    for (let n = 0; n < 300; n++) (await stuck(`GET / HTTP/1.1\r\n${Host}\r\n`)).pause()
    await expectRealCallbackToWin()
  })

  it('nor do they end the callback that is held already', async () => {
    const answer = get(target)
    await signIn.response
    for (let n = 0; n < 300; n++) await stuck()
    signIn.finish({ kind: 'success' })
    expect(await answer).toMatch(/^HTTP\/1\.1 303 /)
  })

  it('the same callback over and over holds a few connections only, and the first one is answered', async () => {
    const first = get(target)
    await signIn.response
    const statuses: string[] = []
    const answers = Array.from({ length: 40 }, async () => statuses.push((await get(target)).slice(9, 12)))
    await expect.poll(() => statuses.length).toBe(33)
    signIn.finish({ kind: 'success' })
    expect(await first).toMatch(/^HTTP\/1\.1 303 /)
    await Promise.all(answers)
    expect(statuses).toEqual([...Array(33).fill('503'), ...Array(7).fill('303')])
  })
})

describe('S16, S17: bytes that no browser sends are refused, with the right state too', () => {
  const line = `GET ${target} HTTP/1.1\r\n`
  it.each<[what: string, bytes: (host: string) => string, status: number | 'closed']>([
    ['a tunnel', (host) => `CONNECT as.example:443 HTTP/1.1\r\n${host}\r\n`, 'closed'],
    [
      'a tunnel to this very port',
      (host) => `CONNECT ${host.slice(6, -2)} HTTP/1.1\r\n${host}\r\n`,
      'closed',
    ],
    ['HTTP/1.0 without Host', () => `GET ${target} HTTP/1.0\r\n\r\n`, 421],
    ['HTTP/0.9', () => `GET ${target}\r\n\r\n`, 421],
    ['HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['TLS', () => '\u0016\u0003\u0001\u0002\u0000\u0001', 400],
    ['an unknown method', (host) => `HACK ${target} HTTP/1.1\r\n${host}\r\n`, 400],
    ['TRACE', (host) => `TRACE ${target} HTTP/1.1\r\n${host}\r\n`, 405],
    ['the target *', (host) => `OPTIONS * HTTP/1.1\r\n${host}\r\n`, 405],
    [
      'an absolute target on this very port',
      (host) => `GET http://${host.slice(6, -2)}${target} HTTP/1.1\r\n${host}\r\n`,
      400,
    ],
    [
      'a target without a slash',
      (host) => `GET callback?state=${expected.state} HTTP/1.1\r\n${host}\r\n`,
      400,
    ],
    ['a chunked body', (host) => `${line}${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['a body', (host) => `${line}${host}Content-Length: 1\r\n\r\nx`, 400],
    ['two lengths', (host) => `${line}${host}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`, 400],
    [
      'a length beside chunks',
      (host) => `${line}${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['a folded header', (host) => `${line}X: a\r\n b\r\n${host.replace(': ', ' : ')}\r\n`, 400],
    ['lines that end in CR only', (host) => `${line}${host.replace('\r\n', '\r')}\r\r`, 400],
    ['a NUL', (host) => `${line}${host}X: \u0000\r\n\r\n`, 400],
    ['200 headers', (host) => `${line}${host}${'X: a\r\n'.repeat(200)}\r\n`, 431],
    ['3000 headers before Host', (host) => `${line}${'X: a\r\n'.repeat(3000)}${host}\r\n`, 421],
    [
      'an expectation that nobody knows',
      (host) => `POST ${target} HTTP/1.1\r\n${host}Expect: x\r\n\r\n`,
      405,
    ],
    [
      'a body that is offered',
      (host) => `POST ${target} HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n`,
      405,
    ],
    [
      'a WebSocket',
      (host) =>
        `${line}${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
      400,
    ],
    [
      'HTTP/2 in clear text',
      (host) =>
        `${line}${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
      400,
    ],
  ])('%s', async (_what, bytes, status) => {
    const answer = await rawRequest(listener.port, bytes(Host)).catch(() => '')
    if (status === 'closed') expect(answer).toBe('')
    else expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).not.toMatch(/100 Continue|101 Switching/)
    await expectRealCallbackToWin()
  })

  it('a connection that is reset in the middle of anything', async () => {
    for (const text of ['', 'GET ', `GET ${target}`, `GET / HTTP/1.1\r\n${Host}\r\n`])
      (await stuck(text)).resetAndDestroy()
    await expectRealCallbackToWin()
  })

  it('of requests in one packet the first is answered, and what follows a stray one does not get the code', async () => {
    const stray = `GET /callback?code=ATTACKER&state=x HTTP/1.1\r\n${Host}\r\n`
    const answer = await rawRequest(listener.port, stray.repeat(3))
    expect(answer.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    await expectRealCallbackToWin()
  })

  it('a real callback with stray ones behind it in the same packet counts', async () => {
    const stray = `GET /callback?error=access_denied&state=x HTTP/1.1\r\n${Host}\r\n`
    const answer = rawRequest(listener.port, `GET ${target} HTTP/1.1\r\n${Host}\r\n${stray}`)
    expect((await signIn.response).get('code')).toBe('the-code')
    signIn.finish({ kind: 'success' })
    expect((await answer).match(/^HTTP\/1\.1 /gm)).toEqual(['HTTP/1.1 '])
  })
})

describe('what a page in the browser sends without the person', () => {
  const fetchMetadata = (mode: string, dest: string, site = 'cross-site') =>
    `Sec-Fetch-Site: ${site}\r\nSec-Fetch-Mode: ${mode}\r\nSec-Fetch-Dest: ${dest}\r\n`

  it.each([
    ['a picture', fetchMetadata('no-cors', 'image')],
    ['a script', fetchMetadata('no-cors', 'script')],
    ['a fetch', `Origin: https://evil.example\r\n${fetchMetadata('cors', 'empty')}`],
    ['a WebSocket', `Origin: https://evil.example\r\n${fetchMetadata('websocket', 'websocket')}`],
    ['a frame', fetchMetadata('navigate', 'iframe')],
    ['an embedded object', fetchMetadata('navigate', 'object')],
    ['a prefetch of a link', fetchMetadata('no-cors', 'empty')],
  ])('%s: neither callback nor start link', async (_what, headers) => {
    expect(await get(target, headers)).toMatch(/^HTTP\/1\.1 403 /)
    expect(await get(new URL(signIn.startUrl).pathname, headers)).toMatch(/^HTTP\/1\.1 403 /)
    expect(await get(new URL(signIn.startUrl).pathname)).toMatch(/^HTTP\/1\.1 302 /)
    await expectRealCallbackToWin()
  })

  it('a preflight, into the private network too, is granted nothing', async () => {
    const answer = await rawRequest(
      listener.port,
      `OPTIONS ${target} HTTP/1.1\r\n${Host}Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n` +
        'Access-Control-Request-Private-Network: true\r\nAccess-Control-Request-Headers: x-latchkey\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 405 /)
    expect(answer).not.toMatch(/access-control-/i)
    await expectRealCallbackToWin()
  })

  it('the way back from the authorization server is a navigation, whatever site it comes from', async () => {
    const answer = get(
      target,
      `Origin: null\r\n${fetchMetadata('navigate', 'document')}Sec-Fetch-User: ?1\r\n`,
    )
    expect((await signIn.response).get('code')).toBe('the-code')
    signIn.finish({ kind: 'success' })
    expect(await answer).toMatch(/^HTTP\/1\.1 303 /)
  })

  it('S16: the page that asks is answered by a click on it, not by another site that knows where the answer goes', async () => {
    const asked = listener.expect({ ...expected, state: 'foreign', confirmAgainst: 'auth.linear.app' })
    const page = await get(new URL(asked.startUrl).pathname, fetchMetadata('navigate', 'document', 'none'))
    const links = ['continue', 'decline'].map(
      (kind) => new RegExp(`class="${kind}" href="([^"]+)"`).exec(page)![1]!,
    )
    for (const link of links) {
      for (const site of ['cross-site', 'same-site']) {
        const answer = await get(link, fetchMetadata('navigate', 'document', site))
        expect(answer).toMatch(/^HTTP\/1\.1 403 /)
        expect(answer).not.toContain(expected.authorizationUrl)
      }
    }
    const click = await get(links[0]!, fetchMetadata('navigate', 'document', 'same-origin'))
    expect(click).toMatch(/^HTTP\/1\.1 302 /)
    expect(click).toContain(expected.authorizationUrl)
  })
})
