import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FORGED, type HostileLogin, openHostileLogin } from '../fixtures/hostile-login.ts'
import { listeningAddresses } from '../fixtures/listening-addresses.ts'
import { requires } from '../requires.ts'

// While a person is at the authorization server, every program of the machine and every page in the browser can send
// requests to the callback port. None of them may count. Each suite knocks at one sign-in, whose real callback then wins.

let login: HostileLogin

function atOneLogin(): void {
  beforeAll(async () => {
    login = await openHostileLogin()
  }, 120_000)
  afterAll(() => login.close())
}

const swappedCase = (text: string) =>
  text.replace(/[a-z]/gi, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase()))

describe('S16: a stray or forged callback', () => {
  atOneLogin()

  test.each<[string, (state: string) => string, method?: string]>([
    ['a foreign code with a foreign state', () => `/callback?code=${FORGED}&state=ARBITRARY`],
    ['a foreign code without a state', () => `/callback?code=${FORGED}`],
    ['an error without a state', () => '/callback?error=access_denied'],
    ['an error with a foreign state', () => '/callback?error=access_denied&state=ARBITRARY'],
    ['an error with an empty state', () => '/callback?error=access_denied&state='],
    ['a state in another case', (state) => `/callback?code=${FORGED}&state=${swappedCase(state)}`],
    ['the beginning of our state', (state) => `/callback?code=${FORGED}&state=${state.slice(0, -1)}`],
    ['our state and another one', (state) => `/callback?code=${FORGED}&state=${state}&state=x`],
    ['two codes', (state) => `/callback?code=${FORGED}&code=y&state=${state}`],
    ['two errors', (state) => `/callback?error=access_denied&error=x&state=${state}`],
    ['a HEAD with our state', (state) => `/callback?code=${FORGED}&state=${state}`, 'HEAD'],
    ['a POST with our state', (state) => `/callback?code=${FORGED}&state=${state}`, 'POST'],
    ['an OPTIONS with our state', (state) => `/callback?code=${FORGED}&state=${state}`, 'OPTIONS'],
    ['another path with our state', (state) => `/callback/x?code=${FORGED}&state=${state}`],
    ['a path in another case', (state) => `/Callback?code=${FORGED}&state=${state}`],
    ['a path with two slashes', (state) => `//callback?code=${FORGED}&state=${state}`],
    ['no query', () => '/callback'],
    ['the favicon', () => '/favicon.ico'],
    ['the root', () => '/'],
    ['a broken percent sign', () => '/callback?code=%E0%A4%A&state=%'],
    ['a line that is no request', () => '\u0016\u0003\u0001'],
  ])('%s, repeated, is ignored', async (_what, target, method = 'GET') => {
    for (let times = 0; times < 3; times++) {
      const answer = await login.ask(target(login.state), { method })
      expect(answer).toMatch(/^HTTP\/1\.1 4(00|04|05) /)
      expect(answer).not.toContain(FORGED)
    }
  })

  test('connections that say nothing, or half a request, keep nobody from answering', async () => {
    const idle = Array.from({ length: 60 }, (_, n) => {
      const socket = connect(login.port, '127.0.0.1')
      socket.on('error', () => {})
      if (n % 2 === 0) socket.write(`GET /callback?code=${FORGED}&state=${login.state} HTTP/1.1\r\nHost: `)
      return socket
    })
    await Promise.all(idle.map((socket) => once(socket, 'connect')))
    expect(await login.ask('/')).toMatch(/^HTTP\/1\.1 404 /)
  })

  test('after all of them the real callback wins; a later one with our state changes nothing', async () => {
    const second = new Promise<string[]>((resolve) => {
      login.as.scripts.token = (_request, answer) => {
        // While the code of the first one is exchanged: both are held, and get its outcome.
        const targets = [`code=${FORGED}`, 'error=access_denied']
        const asked = targets.map((query) => login.ask(`/callback?${query}&state=${login.state}`))
        void Promise.all(asked).then(resolve)
        return answer
      }
    })
    await login.expectTheRealOneToWin()
    for (const answer of await second) {
      expect(answer).toMatch(/^HTTP\/1\.1 303 /)
      expect(answer).toMatch(/^location: \/done\//im)
    }
  })
})

describe('S17 DNS rebinding: a callback for another host', () => {
  atOneLogin()

  test.each([
    'evil.example',
    'evil.example:{port}',
    'localhost.evil.example:{port}',
    '127.0.0.1:{port}.evil.example',
    '127.0.0.1.nip.io:{port}',
    '0.0.0.0:{port}',
    '127.1:{port}',
    '2130706433:{port}',
    '[::ffff:127.0.0.1]:{port}',
    'localhost',
    'localhost:1',
    '',
    'localhost:{port}\r\nHost: evil.example',
    'localhost:{port}, evil.example',
    'evil.example@localhost:{port}',
  ])('Host %j is refused, also with our state', async (pattern) => {
    const host = pattern.replace('{port}', String(login.port))
    for (const target of [`/callback?code=${FORGED}&state=${login.state}`, '/', '/start/x']) {
      const answer = await login.ask(target, { host })
      expect(answer).toMatch(/^HTTP\/1\.1 4(00|21) /)
      expect(answer).not.toMatch(/^(access-control-|location:)/im)
    }
  })

  test('an absolute target names another host as well', async () => {
    const target = `http://evil.example/callback?code=${FORGED}&state=${login.state}`
    expect(await login.ask(target)).toMatch(/^HTTP\/1\.1 400 /)
  })

  requires('proc', existsSync('/proc/net/tcp'))('the kernel says', () => {
    test('that the listener is on the loopback interface and nowhere else', () => {
      const { pid, port } = login
      const addresses = listeningAddresses(pid)
      expect(addresses).toContain(`127.0.0.1:${port}`)
      const loopback = [`127.0.0.1:${port}`, `[::1]:${port}`]
      expect(addresses.filter((address) => !loopback.includes(address))).toEqual([])
    })
  })

  test('after all of them the real callback wins, and the port is free again', async () => {
    await login.expectTheRealOneToWin()
    await expect(login.ask('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
