import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { HttpServerConfig, OAuthConfig } from '../src/config/input.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import type { McpServerFixture, McpServerOptions } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { createShiftedClock } from './fixtures/shifted-clock.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'
import { buildSessionProgram, type SessionProgram } from './session-program.ts'

let authorizationServer: AuthorizationServer
let server: McpServerFixture
let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-stay-'))
})
afterEach(async () => {
  await Promise.all([server?.close(), authorizationServer?.close()])
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

async function start(options: AuthorizationServerOptions = {}, more: McpServerOptions = {}): Promise<void> {
  authorizationServer = await startAuthorizationServer(options)
  server = await startProtectedServer(authorizationServer, more)
}

const tokenRequests = () => authorizationServer.requests.to('/token').map(parameters)
const sentTokens = () => server.requests.map(({ headers }) => headers.authorization)
const forget = () => {
  authorizationServer.requests.clear()
  server.requests.clear()
}

describe('a process that ended, and one that starts later', () => {
  let program: SessionProgram
  beforeAll(async () => {
    program = await buildSessionProgram()
  })
  afterAll(() => program.remove())

  test('[REF-09] logs in once; the next process refreshes once, and sends nothing with the expired token', async () => {
    await start()
    const work = { server: { url: server.url } }
    const first = await program.run(home, work)
    expect(first).toMatchObject({ said: ['alice'], exitCode: 0, stderr: '' })
    expect(first.events).toContain('authorization_started')
    expect(first.lingered).toBeLessThan(2_000)

    const [login] = await storedLogins(home)
    await changeStoredLogins(home, expired)
    authorizationServer.expireAccessTokens()
    forget()

    const second = await program.run(home, work)
    expect(second).toMatchObject({ said: ['alice'], exitCode: 0, stderr: '' })
    expect(second.lingered).toBeLessThan(2_000)
    expect(second.exchanges).toEqual(['token POST 200', 'mcp POST 200', 'mcp POST 200'])
    expect(second.events).not.toContain('authorization_started')
    expect(authorizationServer.requests.lines()).toEqual(['POST /token'])
    expect(tokenRequests()).toEqual([
      {
        grant_type: 'refresh_token',
        refresh_token: login!.record.refresh_token,
        client_id: login!.record.client_id,
        resource: server.url,
      },
    ])
    expect(sentTokens()).not.toContain(`Bearer ${login!.record.access_token}`)
    expect(sentTokens()).not.toContain(undefined)
  })

  test('[REF-05] four processes with ten calls each, all with an expired login, refresh once in total', async () => {
    await start()
    const work = { server: { url: server.url } }
    await program.run(home, work)
    await changeStoredLogins(home, expired)
    authorizationServer.expireAccessTokens()
    forget()

    const outcomes = await Promise.all(
      Array.from({ length: 4 }, () => program.run(home, { ...work, calls: 10, interactive: 'never' })),
    )
    for (const outcome of outcomes) expect(outcome.said).toEqual(Array(10).fill('alice'))
    expect(tokenRequests().map(({ grant_type }) => grant_type)).toEqual(['refresh_token'])
  })

  test('a valid login costs no request besides those of MCP itself', async () => {
    await start()
    const work = { server: { url: server.url } }
    await program.run(home, work)
    const [login] = await storedLogins(home)
    forget()
    const second = await program.run(home, work)
    expect(second.exchanges).toEqual(['mcp POST 200', 'mcp POST 200'])
    expect(authorizationServer.requests).toHaveLength(0)
    expect((await storedLogins(home))[0]!.revision).toBe(login!.revision)
  })

  test('where nobody may be asked it says so at once and ends by itself', async () => {
    await start()
    const started = performance.now()
    const outcome = await program.run(home, { server: { url: server.url }, interactive: 'auto' })
    expect(outcome.error).toMatchObject({ code: 'login_required' })
    expect(outcome.lingered).toBeLessThan(2_000)
    expect(performance.now() - started).toBeLessThan(4_000)
    expect(outcome.events).not.toContain('redirect_listening')
  })
})

describe('a login that has to be renewed', () => {
  const benches: Workbench[] = []
  /** As a process of its own: nothing in common with the one before but the files. */
  async function newProcess(options: Parameters<typeof openWorkbench>[0] = {}): Promise<Workbench> {
    const bench = await openWorkbench({ home, ...options })
    benches.push(bench)
    return bench
  }
  afterEach(async () => {
    await Promise.all(benches.splice(0).map((bench) => bench.close()))
  })

  async function logIn(auth?: OAuthConfig): Promise<HttpServerConfig> {
    const entry = { url: server.url, ...(auth && { auth }) }
    await (await newProcess()).login({ name: 'demo', ...entry })
    await changeStoredLogins(home, expired)
    forget()
    return entry
  }

  test('[REF-04] keeps its refresh token when the answer brings none, and renews with it again', async () => {
    await start({ omitRefreshTokenOnRefresh: true })
    const entry = await logIn({ account: 'work' })
    const [before] = await storedLogins(home)
    for (let round = 0; round < 2; round++) {
      const bench = await newProcess()
      await (await bench.client({ demo: entry }).createSession('demo')).callTool('whoami')
      const [after] = await storedLogins(home)
      expect(after!.record.refresh_token).toBe(before!.record.refresh_token)
      expect(after!.record.access_token).not.toBe(before!.record.access_token)
      expect(bench.browser.opened).toEqual([])
      await changeStoredLogins(home, expired)
    }
    expect(tokenRequests().map(({ refresh_token }) => refresh_token)).toEqual(
      Array(2).fill(before!.record.refresh_token),
    )
  })

  test.each(['client_secret_basic', 'client_secret_post'])(
    '[REF-10] of a confidential client authenticates with %s, and its secret is in no file',
    async (token_endpoint_auth_method) => {
      const callback_port = await freePort()
      const client_secret = 'pass/word: with+odd~characters'
      await start({
        registration: false,
        clients: [
          {
            client_id: 'by-hand',
            client_secret,
            token_endpoint_auth_method,
            redirect_uris: [`http://localhost:${callback_port}/callback`],
          },
        ],
      })
      authorizationServer.rewriteAnswer = ({ pathname }, answer) =>
        pathname.startsWith('/.well-known')
          ? {
              ...answer,
              body: {
                ...(answer.body as object),
                token_endpoint_auth_methods_supported: [token_endpoint_auth_method],
              },
            }
          : undefined
      const entry = await logIn({ client_id: 'by-hand', client_secret, callback_port })
      const bench = await newProcess()
      await (await bench.client({ demo: entry }).createSession('demo')).callTool('whoami')

      expect(authorizationServer.requests.map(({ pathname, status }) => [pathname, status])).toEqual([
        ['/token', 200],
      ])
      expect(tokenRequests()).toMatchObject([{ grant_type: 'refresh_token', resource: server.url }])
      const inHeader = authorizationServer.requests[0]!.headers.authorization?.startsWith('Basic ') ?? false
      expect(inHeader).toBe(token_endpoint_auth_method === 'client_secret_basic')
      expect(tokenRequests()[0]!.client_secret).toBe(inHeader ? undefined : client_secret)
      expect(JSON.stringify(await storedLogins(home))).not.toContain('odd~characters')
      expect(bench.browser.opened).toEqual([])
    },
  )

  test('[USE-05] [REF-08] a server that refuses the token before its time: one refresh, the call made once more', async () => {
    await start()
    const bench = await newProcess()
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    authorizationServer.expireAccessTokens()
    forget()
    await session.callTool('echo', { text: 'hello' })
    expect(server.requests.map(({ status }) => status)).toEqual([401, 200])
    expect(authorizationServer.requests.lines()).toEqual(['POST /token'])
    expect(server.toolCalls).toHaveLength(1)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a refresh token that was revoked asks the person once, and keeps the registration', async () => {
    await start()
    const entry = await logIn()
    await changeStoredLogins(home, (record) => ({ ...record, refresh_token: 'revoked-long-ago' }))
    const bench = await newProcess()
    await (await bench.client({ demo: entry }).createSession('demo')).callTool('whoami')
    expect(bench.browser.opened).toHaveLength(1)
    expect(authorizationServer.requests.to('/reg')).toHaveLength(0)
    expect(bench.told('refresh_failed')).toMatchObject([{ code: 'token_request_refused', terminal: true }])
  })

  test('[REG-12] a dynamic client that the server forgot is registered anew, with one sign-in', async () => {
    await start()
    const entry = await logIn()
    const [login] = await storedLogins(home)
    await authorizationServer.deleteClient(String(login!.record.client_id))
    const bench = await newProcess()
    await (await bench.client({ demo: entry }).createSession('demo')).callTool('whoami')
    expect(authorizationServer.requests.to('/reg')).toHaveLength(1)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a pre-registered client that is refused is the configuration’s fault: said so, login kept', async () => {
    const callback_port = await freePort()
    const redirect_uris = [`http://localhost:${callback_port}/callback`]
    await start({ clients: [{ client_id: 'by-hand', client_secret: 'right', redirect_uris }] })
    await logIn({ client_id: 'by-hand', client_secret: 'right', callback_port })
    const before = await storedLogins(home)
    const bench = await newProcess()
    const auth = { client_id: 'by-hand', client_secret: 'wrong', callback_port }
    const error = await failureOf(bench.client({ demo: { url: server.url, auth } }).createSession('demo'))
    expect(error).toMatchObject({ code: 'token_request_refused', error: 'invalid_client' })
    expect(await storedLogins(home)).toEqual(before)
    expect(bench.browser.opened).toEqual([])
    expect(server.requests).toHaveLength(0)
  })

  test('an authorization server that is down: no browser, login kept, and the next try works', async () => {
    await start()
    const entry = await logIn()
    const before = await storedLogins(home)
    const bench = await newProcess()
    const client = bench.client({ demo: entry })
    for (const answer of [
      { status: 500 },
      { status: 502, body: '<html>' },
      { destroy: true },
      { body: 'no' },
    ]) {
      authorizationServer.intercept = () => answer
      const error = await failureOf<{ code: string }>(client.createSession('demo'))
      expect(['network_failed', 'response_invalid']).toContain(error.code)
      expect(await storedLogins(home)).toEqual(before)
    }
    authorizationServer.intercept = undefined
    await (await client.createSession('demo')).callTool('whoami')
    expect(bench.browser.opened).toEqual([])
  })

  test('a token that has time left is used while the authorization server is down', async () => {
    await start()
    const clock = createShiftedClock()
    const bench = await newProcess({ clock })
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    const before = await storedLogins(home)
    clock.pass(3_550_000)
    authorizationServer.intercept = () => ({ status: 500 })
    forget()
    await session.callTool('whoami')
    await session.callTool('whoami')
    expect(server.toolCalls).toHaveLength(2)
    expect(await storedLogins(home)).toEqual(before)
    // Once more, as an answer may have got lost; but not again with every call.
    expect(authorizationServer.requests.lines()).toEqual(Array(2).fill('POST /token'))
    clock.pass(10_000)
    authorizationServer.intercept = undefined
    await session.callTool('whoami')
    expect(authorizationServer.requests.lines()).toEqual(Array(3).fill('POST /token'))
    expect(bench.told('refresh_failed')).toMatchObject([{ terminal: false }])
  })

  test('a session that a 2025 server forgot is opened anew, and the call made once', async () => {
    await start({}, { era: '2025' })
    const bench = await newProcess()
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    await session.callTool('echo', { text: 'before' })
    await server.dropSessions()
    const texts = ['a', 'b', 'c']
    await Promise.all(texts.map((text) => session.callTool('echo', { text })))
    expect(server.toolCalls.map(({ args }) => args.text).sort()).toEqual(['a', 'b', 'before', 'c'])
    const initialized = server.requests.filter(({ body }) => body.includes('"method":"initialize"'))
    expect(initialized).toHaveLength(2)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a session that is opened anew without an answer holds up no call longer than its own limit', async () => {
    await start({}, { era: '2025' })
    const bench = await newProcess()
    const entry = { url: server.url, timeout: 2_000 }
    const session = await bench.client({ demo: entry }).createSession('demo')
    await server.dropSessions()
    server.intercept = ({ body }) => (body.includes('notifications/initialized') ? { hang: true } : undefined)
    const abort = new AbortController()
    const patient = failureOf(session.callTool('whoami', {}, { timeout: 30_000 }))
    const hasty = failureOf(session.callTool('whoami', {}, { timeout: 300 }))
    const aborted = failureOf(session.callTool('whoami', {}, { timeout: 30_000, signal: abort.signal }))
    let isGivenUp = false
    void patient.then(() => {
      isGivenUp = true
    })
    expect(await hasty).toMatchObject({ code: 'connect_failed', cause: { name: 'TimeoutError' } })
    abort.abort()
    expect(await aborted).toBe(abort.signal.reason)
    expect(isGivenUp).toBe(false)
    expect(await patient).toMatchObject({ code: 'connect_failed', cause: { name: 'TimeoutError' } })
    server.intercept = undefined
    await session.callTool('whoami')
    expect(bench.browser.opened).toHaveLength(1)
  })

  describe('at an SSE server', () => {
    test('[REF-12] is renewed in the middle of the session', async () => {
      await start({}, { transport: 'sse' })
      const bench = await newProcess()
      const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
      expect(session.transport).toBe('sse')
      authorizationServer.expireAccessTokens()
      forget()
      await session.callTool('echo', { text: 'after' })
      expect(server.requests.map(({ method, status }) => [method, status])).toEqual([
        ['POST', 401],
        ['POST', 202],
      ])
      expect(server.toolCalls).toHaveLength(1)
      expect(bench.browser.opened).toHaveLength(1)
    })

    test('[REF-12] an event stream that a 401 ended behind our back is replaced by the next call', async () => {
      await start({}, { transport: 'sse' })
      const bench = await newProcess()
      const entry = { url: server.url, auth: { offline_access: false } }
      const session = await bench.client({ demo: entry }).createSession('demo')
      authorizationServer.expireAccessTokens()
      forget()
      await server.dropSessions()
      // The transport asks for a new stream by itself, after 3 s; nobody is asked to sign in for that.
      await expect.poll(() => server.requests.map(({ status }) => status), { timeout: 8_000 }).toContain(401)
      await expect.poll(() => session.client.transport).toBeUndefined()
      expect(bench.browser.opened).toHaveLength(1)

      const results = await Promise.all(['a', 'b'].map((text) => session.callTool('echo', { text })))
      expect(results.map(({ content }) => content)).toMatchObject([[{ text: 'a' }], [{ text: 'b' }]])
      expect(server.toolCalls).toHaveLength(2)
      expect(bench.browser.opened).toHaveLength(2)
      expect(session.transport).toBe('sse')
    })

    test('a lost stream is replaced without the person when somebody signed in meanwhile', async () => {
      await start({}, { transport: 'sse' })
      const bench = await newProcess()
      const entry = { url: server.url, auth: { offline_access: false } }
      const session = await bench.client({ demo: entry }).createSession('demo')
      server.intercept = ({ method }) => (method === 'GET' ? { status: 503 } : undefined)
      await server.dropSessions()
      await expect.poll(() => session.client.transport, { timeout: 8_000 }).toBeUndefined()
      server.intercept = undefined
      authorizationServer.expireAccessTokens()
      await (await newProcess()).login({ name: 'demo', ...entry })
      expect((await session.callTool('echo', { text: 'back' })).content).toMatchObject([{ text: 'back' }])
      expect(bench.browser.opened).toHaveLength(1)
    })
  })
})
