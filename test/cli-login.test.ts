import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, finished, type Home } from './fixtures/built-command.ts'
import { visit } from './fixtures/consent-browser.mjs'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { freePort } from './fixtures/workbench.ts'

let command: BuiltCommand
let port = 0
let as: AuthorizationServer
let mcp: McpServerFixture
let home: Home

beforeAll(async () => {
  command = await buildCommand()
  port = await freePort()
  const redirect_uris = [`http://localhost:${port}/callback`]
  as = await startAuthorizationServer({
    clients: [
      { client_id: 'public', redirect_uris, token_endpoint_auth_method: 'none' },
      { client_id: 'confidential', client_secret: 'a-secret-of-the-client', redirect_uris },
    ],
  })
  mcp = await startProtectedServer(as, { protection: { scopesSupported: ['mcp:read', 'mcp:write'] } })
})
afterAll(async () => {
  await Promise.all([mcp.close(), as.close()])
  await command.remove()
})
beforeEach(async () => {
  home = await createHome()
  as.requests.clear()
  mcp.requests.clear()
})
afterEach(() => rmSync(home.path, { recursive: true, force: true, maxRetries: 5 }))

const always = ['--interactive', 'always']
const tokensFolder = () => join(home.path, '.mcp_use', 'tokens')
const authorizationUrls = (stderr: string) =>
  stderr.split('\n').filter((line) => line.startsWith(`${as.issuer}/auth?`))

/** Resolves with all of stderr once it contains the text. */
function saysOn(child: ReturnType<BuiltCommand['start']>, wanted: string): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    child.stderr?.on('data', (chunk) => {
      text += chunk
      if (text.includes(wanted)) resolve(text)
    })
    child.once('close', () => reject(new Error(`it ended without saying ${wanted}:\n${text}`)))
  })
}

test('[OPEN-05] signs in by registration: who is asked and the whole URL before, what was got and where it is after', async () => {
  const { code, stdout, stderr } = await command.run(['login', mcp.url, ...always], home)
  expect(code).toBe(0)
  const [url] = authorizationUrls(stderr)
  const query = new URL(url!).searchParams
  expect([...query.keys()]).toEqual(
    expect.arrayContaining(['state', 'code_challenge', 'code_challenge_method', 'resource', 'redirect_uri']),
  )
  expect(stderr).toContain(`Sign-in to ${mcp.url}\n  login at  ${new URL(as.issuer).host}\n`)
  expect(stderr).toContain('scope     mcp:read mcp:write')
  expect(stdout).toMatch(/^Signed in to /)
  expect(stdout).toContain(`issuer    ${as.issuer}`)
  expect(stdout).toMatch(/expires {3}in 60 min \(\d{4}-\d\d-\d\d \d\d:\d\d\); renewed without you/)
  const stored = /stored {4}(.+)/.exec(stdout)?.[1] ?? ''
  expect(JSON.parse(readFileSync(stored, 'utf8')).records).toHaveLength(1)
  // Nobody counts seconds in a log.
  expect(stderr).not.toMatch(/\r|\u001b|Waiting/)
})

test('with --json the login is one document on stdout and the talk goes on', async () => {
  const { code, stdout, stderr } = await command.run(['login', mcp.url, ...always, '--json'], home)
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    server: mcp.url,
    state: 'signed_in',
    method: 'oauth',
    client_kind: 'dynamic',
    account: null,
    issuer: as.issuer,
    refreshable: true,
    next: '',
  })
  expect(authorizationUrls(stderr)).toHaveLength(1)
})

describe('nobody is at a terminal', () => {
  test.each([
    ['auto', 'nobody is at a terminal'],
    ['never', 'forbids'],
  ])(
    '[OPEN-07] --interactive %s: login_required within 2 s, without a request or a browser',
    async (mode, said) => {
      const { code, stdout, stderr, duration } = await command.run(
        ['login', mcp.url, '--interactive', mode],
        home,
      )
      expect(code).toBe(4)
      expect(stdout).toBe('')
      expect(stderr).toContain(said)
      expect(stderr).toContain('(login_required)')
      expect(stderr).toContain('--interactive always')
      expect(duration).toBeLessThan(2000)
      expect([...mcp.requests.lines(), ...as.requests.lines()]).toEqual([])
      expect(existsSync(home.browserLog)).toBe(false)
    },
  )

  test.each([[['tools']], [['call', 'whoami']], [['token']]])(
    '%j says what to run',
    async ([name, ...rest]) => {
      const { code, stderr, duration } = await command.run([name!, mcp.url, ...rest], home)
      expect(code).toBe(4)
      expect(stderr).toContain(`Run: latchkey login ${mcp.url}`)
      expect(duration).toBeLessThan(2000)
      expect(existsSync(home.browserLog)).toBe(false)
    },
  )
})

describe('a pre-registered client', () => {
  test('flags stand for the keys; the exact redirect URI is shown before the browser opens', async () => {
    const { code, stdout, stderr } = await command.run(
      [
        'login',
        mcp.url,
        '--client-id',
        'confidential',
        '--client-secret-env',
        'CLIENT_SECRET',
        ...always,
      ].concat(['--callback-port', String(port), '--scope', 'mcp:read']),
      home,
      { env: { CLIENT_SECRET: 'a-secret-of-the-client' } },
    )
    expect(code).toBe(0)
    expect(stderr.indexOf(`callback  http://localhost:${port}/callback`)).toBeGreaterThan(-1)
    expect(stderr.indexOf('callback  http')).toBeLessThan(stderr.indexOf(authorizationUrls(stderr)[0]!))
    expect(stdout).toContain('OAuth, pre-registered client confidential')
    expect(as.requests.to('/reg')).toEqual([])
    expect(stdout + stderr + readFileSync(home.browserLog, 'utf8')).not.toContain('a-secret-of-the-client')
    expect(readFileSync(/stored {4}(.+)/.exec(stdout)![1]!, 'utf8')).not.toContain('a-secret-of-the-client')
  })

  test('the secret may be piped', async () => {
    const { code } = await command.run(
      ['login', mcp.url, '--client-id', 'confidential', '--client-secret-stdin', ...always].concat([
        '--callback-port',
        String(port),
      ]),
      home,
      { input: 'a-secret-of-the-client\n' },
    )
    expect(code).toBe(0)
  })

  test('its login is found again by the URL alone', async () => {
    const client = ['--client-id', 'public', '--callback-port', String(port)]
    await command.run(['login', mcp.url, ...client, ...always], home)
    expect((await command.run(['token', mcp.url], home)).stdout).toMatch(/^\S+\n$/)
    expect((await command.run(['status', mcp.url], home)).stdout).toContain('pre-registered client public')
    expect((await command.run(['logout', mcp.url], home)).stdout).toContain('revoked there')
  })

  test('its port is taken: fails within 2 s, names port and setting, before any request to the authorization server', async () => {
    const taker = createServer((socket) => socket.resume())
    await new Promise<void>((resolve) => taker.listen(port, '127.0.0.1', resolve))
    try {
      const { code, stderr, duration } = await command.run(
        ['login', mcp.url, '--client-id', 'public', '--callback-port', String(port), ...always],
        home,
      )
      expect(code).toBe(1)
      expect(stderr).toContain(`Port ${port}`)
      expect(stderr).toContain('callback_port')
      expect(stderr).toContain('(port_in_use)')
      expect(duration).toBeLessThan(2000)
      expect(as.requests.lines()).toEqual([])
    } finally {
      taker.close()
    }
  })
})

describe('sign-ins that come to nothing', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s cancels: exit 130, the port is free again, nothing is stored',
    async (signal) => {
      const free = await freePort()
      const args = ['login', mcp.url, '--callback-port', String(free), ...always]
      const child = command.start(args, home, { env: { BROWSER: 'none' } })
      const end = finished(child)
      await saysOn(child, 'Could not open a browser')
      const asked = performance.now()
      child.kill(signal)
      const { code, stderr } = await end
      expect(code).toBe(130)
      expect(performance.now() - asked).toBeLessThan(2000)
      expect(stderr).toContain('(sign_in_cancelled)')
      await listenOn(free)
      expect(existsSync(tokensFolder()) ? jsonFiles(tokensFolder()) : []).toEqual([])
    },
  )

  test('the person says no: exit 5', async () => {
    const { code, stderr } = await command.run(['login', mcp.url, ...always], home, {
      env: { CONSENT_BROWSER_DECISION: 'deny' },
    })
    expect(code).toBe(5)
    expect(stderr).toContain('(authorization_refused)')
  })

  test('nobody comes: exit 1 after --timeout', async () => {
    const { code, stderr, duration } = await command.run(
      ['login', mcp.url, '--timeout', '1', ...always],
      home,
      {
        env: { BROWSER: 'none' },
      },
    )
    expect(code).toBe(1)
    expect(stderr).toContain('(sign_in_timed_out)')
    expect(duration).toBeLessThan(5000)
  })

  test('a server that is not there: exit 3', async () => {
    const { code, stderr } = await command.run(
      ['login', `http://127.0.0.1:${await freePort()}/mcp`, ...always],
      home,
    )
    expect(code).toBe(3)
    expect(stderr).toContain('(network_failed)')
  })
})

test('[OPEN-08] without a browser the printed URL is enough', async () => {
  const child = command.start(['login', mcp.url, ...always], home, { env: { BROWSER: '/bin/false' } })
  const end = finished(child)
  const stderr = await saysOn(child, 'open the URL above yourself')
  const page = await visit(authorizationUrls(stderr)[0]!)
  expect(page.status).toBe(200)
  expect((await end).code).toBe(0)
})

test('tools signs in on the way when it may, and says so', async () => {
  const { code, stdout, stderr } = await command.run(['tools', mcp.url, ...always], home)
  expect(code).toBe(0)
  expect(stdout).toContain('echo text=<string>')
  expect(stderr).toContain('Signed in.')
})

test('--force makes the server ask again and registers a new client', async () => {
  await command.run(['login', mcp.url, ...always], home)
  as.requests.clear()
  const { code, stderr } = await command.run(['login', mcp.url, '--force', ...always], home)
  expect(code).toBe(0)
  expect(new URL(authorizationUrls(stderr)[0]!).searchParams.get('prompt')?.split(' ')).toContain('login')
  expect(as.requests.to('/reg')).toHaveLength(1)
})

test('[STORE-06] accounts at one server are kept apart', async () => {
  await command.run(['login', mcp.url, '--account', 'work', ...always], home)
  expect((await command.run(['token', mcp.url], home)).code).toBe(4)
  expect((await command.run(['token', mcp.url, '--account', 'work'], home)).code).toBe(0)
  const { stdout } = await command.run(['status', mcp.url, '--account', 'home'], home)
  expect(stdout).toContain(`next      latchkey login ${mcp.url} --account home`)
})

async function listenOn(wanted: number): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(wanted, '127.0.0.1', resolve),
  )
  await new Promise((resolve) => server.close(resolve))
}

function jsonFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'))
}
