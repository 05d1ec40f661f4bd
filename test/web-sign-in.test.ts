import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BeginLoginOptions, ServerInput } from '../src/latchkey.ts'
import { createFileStore } from '../src/node/file-store.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import { visit } from './fixtures/consent-browser.mjs'
import { type LoopbackServer, startLoopbackServer } from './fixtures/loopback-server.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { startScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { createShiftedClock, type ShiftedClock } from './fixtures/shifted-clock.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

let home: string
let clock: ShiftedClock
let application: LoopbackServer
let authorizationServer: AuthorizationServer
let server: McpServerFixture
const benches: Workbench[] = []

/** One process of a web application: nothing in common with another but the store. It can open no browser. */
async function newProcess(): Promise<Workbench> {
  const bench = await openWorkbench({ home, clock, options: { interactive: 'never' } })
  benches.push(bench)
  return bench
}

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-web-'))
  clock = createShiftedClock()
  application = await startLoopbackServer()
})
afterEach(async () => {
  await Promise.all(benches.splice(0).map((bench) => bench.close()))
  await Promise.all([server?.close(), authorizationServer?.close(), application.close()])
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

async function start(
  options: AuthorizationServerOptions = {},
  more: Parameters<typeof startProtectedServer>[1] = {},
): Promise<void> {
  authorizationServer = await startAuthorizationServer(options)
  server = await startProtectedServer(authorizationServer, more)
}

const redirectUri = () => `${application.origin}/oauth/callback`
const demo = (): ServerInput => ({ name: 'demo', url: server.url })

async function begin(options: Partial<BeginLoginOptions> = {}, target = demo()) {
  const bench = await newProcess()
  return bench.latchkey.beginLogin(target, { redirectUri: redirectUri(), ...options })
}

/** Where the person comes back to: the path and query that the application's framework sees. */
async function comeBack(authorizationUrl: string, user = 'alice'): Promise<string> {
  const { finalUrl } = await visit(authorizationUrl, { user })
  expect(finalUrl).toContain(redirectUri())
  return application.requests.at(-1)!.path
}

async function complete(response: string, options = {}, target = demo()) {
  return (await newProcess()).latchkey.completeLogin(target, response, options)
}

async function whoami(account: string): Promise<unknown> {
  const bench = await newProcess()
  const session = await bench.client({ demo: { url: server.url } }, { account }).createSession('demo')
  return (await session.callTool('whoami')).content
}

const codeExchanges = () =>
  authorizationServer.requests.to('/token').filter(({ body }) => body.includes('authorization_code'))
const waiting = () => createFileStore({ home, emit: () => {} }).list({ kind: 'sign_ins' })
const unknownState = { code: 'authorization_response_invalid', parameter: 'state' }

test('two persons sign in, each step in a process of its own, and each has their own login', async () => {
  await start()
  const [first, second] = [await begin({ account: 'user-1' }), await begin({ account: 'user-2' })]
  expect(await waiting()).toHaveLength(2)
  // Back in the other order.
  const bobs = await comeBack(second.authorizationUrl, 'bob')
  const alices = await comeBack(first.authorizationUrl, 'alice')
  expect(await complete(bobs, { account: 'user-2' })).toMatchObject({ state: 'signed_in', account: 'user-2' })
  expect(await complete(alices, { account: 'user-1' })).toMatchObject({
    state: 'signed_in',
    refreshable: true,
    redirect_uri: redirectUri(),
  })
  expect(await whoami('user-1')).toEqual([{ type: 'text', text: 'alice' }])
  expect(await whoami('user-2')).toEqual([{ type: 'text', text: 'bob' }])
  expect(await waiting()).toEqual([])
  expect(benches.flatMap(({ browser }) => browser.opened)).toEqual([])
})

test('what is begun says where to go, for how long, and what will come back', async () => {
  await start()
  const { authorizationUrl, state, expiresAt } = await begin({ callbackTimeout: 600_000 })
  const query = new URL(authorizationUrl).searchParams
  expect(Object.fromEntries(query)).toMatchObject({
    response_type: 'code',
    redirect_uri: redirectUri(),
    code_challenge_method: 'S256',
    resource: server.url,
    state,
  })
  expect(Math.abs(expiresAt - clock.now() / 1000 - 600)).toBeLessThan(30)
  expect(new URLSearchParams(await comeBack(authorizationUrl)).get('iss')).toBe(authorizationServer.issuer)
})

test('an https application registers as a web client, one on loopback as a native one', async () => {
  await start()
  authorizationServer.intercept = ({ pathname, body }) =>
    pathname === '/reg' ? { status: 201, body: { ...JSON.parse(body), client_id: 'registered' } } : undefined
  await begin({ redirectUri: 'https://app.example.com/callback' })
  await begin()
  const registrations = authorizationServer.requests.to('/reg').map(({ body }) => JSON.parse(body))
  expect(registrations).toMatchObject([
    { application_type: 'web', redirect_uris: ['https://app.example.com/callback'] },
    { application_type: 'native', redirect_uris: [redirectUri()] },
  ])
})

test('a pre-registered client: its secret goes to the token endpoint and into no file', async () => {
  const client = { client_id: 'the-app', client_secret: 'secret-of-the-app', redirect_uris: [redirectUri()] }
  await start({ registration: false, clients: [{ ...client, application_type: 'web' }] })
  const target = {
    ...demo(),
    auth: { client_id: client.client_id, client_secret: client.client_secret },
  }
  const { authorizationUrl } = await begin({}, target)
  expect(JSON.stringify(await waiting())).not.toContain('secret-of')
  expect(await complete(await comeBack(authorizationUrl), {}, target)).toMatchObject({
    state: 'signed_in',
    client_kind: 'pre-registered',
  })
})

describe('a response', () => {
  test('works once, however many come with it at the same time', async () => {
    await start()
    const { authorizationUrl } = await begin()
    const response = await comeBack(authorizationUrl)
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => complete(response)))
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(failures.map(({ reason }) => reason)).toMatchObject([unknownState, unknownState])
    expect(codeExchanges()).toHaveLength(1)
    expect(await failureOf(complete(response))).toMatchObject(unknownState)
  })

  test.each([
    ['in the session of another account', { account: 'mallory' }, {}],
    ['for another server', {}, { url: 'http://127.0.0.1:1/mcp' }],
    ['for another client', {}, { auth: { client_id: 'another' } }],
  ])('%s is refused, and the person can still finish', async (_title, options, change) => {
    await start()
    const { authorizationUrl } = await begin({ account: 'user-1' })
    const response = await comeBack(authorizationUrl)
    const theirs = { account: 'user-1', ...options }
    expect(await failureOf(complete(response, theirs, { ...demo(), ...change }))).toMatchObject(unknownState)
    expect(codeExchanges()).toHaveLength(0)
    expect(await complete(response, { account: 'user-1' })).toMatchObject({ state: 'signed_in' })
  })

  test.each([
    ['with the `iss` of another server', { iss: 'https://evil.example' }, 'issuer_mismatch'],
    ['without `iss` where the server announces it', { iss: undefined }, 'issuer_mismatch'],
    ['without a code', { code: undefined }, 'authorization_response_invalid'],
    ['without `state`', { state: undefined }, 'authorization_response_invalid'],
    ['with an error', { code: undefined, error: 'access_denied' }, 'authorization_refused'],
  ])('%s ends before any token request', async (_title, changes, code) => {
    await start()
    const { authorizationUrl } = await begin()
    const url = new URL(await comeBack(authorizationUrl), application.origin)
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) url.searchParams.delete(name)
      else url.searchParams.set(name, value)
    }
    expect(await failureOf(complete(url.href))).toMatchObject({ code })
    expect(codeExchanges()).toHaveLength(0)
  })

  test.each([
    ['a URL', (response: string) => new URL(response, 'https://app.example.com')],
    ['its query', (response: string) => response.slice(response.indexOf('?'))],
    ['its parameters', (response: string) => new URLSearchParams(response.slice(response.indexOf('?')))],
  ])('may be given as %s', async (_title, form) => {
    await start()
    const response = form(await comeBack((await begin()).authorizationUrl))
    const { latchkey } = await newProcess()
    expect(await latchkey.completeLogin(demo(), response)).toMatchObject({ state: 'signed_in' })
  })

  test('that comes too late is told so; what nobody came back to is swept at the next beginning', async () => {
    await start()
    const { authorizationUrl } = await begin()
    await begin()
    const response = await comeBack(authorizationUrl)
    clock.pass(301_000)
    expect(await failureOf(complete(response))).toMatchObject({ code: 'sign_in_timed_out' })
    expect(codeExchanges()).toHaveLength(0)
    const { state } = await begin()
    expect((await waiting()).map(({ record }) => record.state)).toEqual([state])
  })
})

test('a client that its server has forgotten is told of once, and the next beginning registers anew', async () => {
  await start()
  const finish = async () => complete(await comeBack((await begin()).authorizationUrl))
  await finish()
  await finish()
  expect(authorizationServer.requests.to('/reg')).toHaveLength(1)
  const { authorizationUrl } = await begin()
  const response = await comeBack(authorizationUrl)
  await authorizationServer.deleteClient(new URL(authorizationUrl).searchParams.get('client_id')!)
  expect(await failureOf(complete(response))).toMatchObject({ error: 'invalid_client' })
  expect(await finish()).toMatchObject({ state: 'signed_in' })
  expect(authorizationServer.requests.to('/reg')).toHaveLength(2)
})

test('a stored client that nobody came back with is not used again', async () => {
  await start()
  await complete(await comeBack((await begin()).authorizationUrl))
  await begin()
  expect(authorizationServer.requests.to('/reg')).toHaveLength(1)
  clock.pass(301_000)
  await complete(await comeBack((await begin()).authorizationUrl))
  expect(authorizationServer.requests.to('/reg')).toHaveLength(2)
})

test('a step-up asks for what is missing besides what was asked for before', async () => {
  await start(
    { scopes: ['mcp:read', 'mcp:write'], offlineAccess: false },
    {
      tools: [{ name: 'write', call: () => 'written' }],
      protection: { challengeScope: 'mcp:read', toolScopes: { write: 'mcp:write' } },
    },
  )
  await complete(await comeBack((await begin()).authorizationUrl))
  const bench = await newProcess()
  const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
  const { challenge } = await failureOf<Error & { challenge: BeginLoginOptions['challenge'] }>(
    session.callTool('write'),
  )
  const { authorizationUrl } = await begin({ challenge: challenge! })
  expect(new URL(authorizationUrl).searchParams.get('scope')).toBe('mcp:read mcp:write')
  await complete(await comeBack(authorizationUrl))
  expect((await session.callTool('write')).content).toEqual([{ type: 'text', text: 'written' }])
})

test('a sign-in page on a foreign host is refused, unless the application names it', async () => {
  await start()
  const scripted = await startScriptedAuthorizationServer({ mcp: {} })
  const { port } = new URL(scripted.origin)
  scripted.scripts = {
    metadata: (_request, answer) => ({
      ...answer,
      body: { ...(answer.body as object), authorization_endpoint: `http://localhost:${port}/authorize` },
    }),
  }
  const target = { name: 'demo', url: scripted.url }
  expect(await failureOf(begin({}, target))).toMatchObject({
    code: 'url_refused',
    remedy: expect.stringContaining('authorization_hosts'),
  })
  const vouched = { ...target, auth: { authorization_hosts: [`localhost:${port}`] } }
  expect((await begin({}, vouched)).authorizationUrl).toContain(`localhost:${port}/authorize`)
  await scripted.close()
})

test.each(['http://app.example.com/callback', 'https://app.example.com/#x', 'app://callback', 'nonsense'])(
  'a redirect URI that is none for a web application is refused: %s',
  async (uri) => {
    await start()
    expect(await failureOf(begin({ redirectUri: uri }))).toMatchObject({
      code: 'config_invalid',
      key: 'options.redirectUri',
    })
    expect(authorizationServer.requests).toHaveLength(0)
  },
)

test('a grant has no person to begin with', async () => {
  await start()
  const target = {
    ...demo(),
    auth: { grant: 'client_credentials', client_id: 'x', client_secret: 'y' } as const,
  }
  expect(await failureOf(begin({}, target))).toMatchObject({ code: 'unsupported' })
})
