import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { OAuthConfig } from '../src/config/input.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { generateDpopKey } from '../src/oauth/dpop-key.ts'
import type { JsonObject } from '../src/ports.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import { createDpopVerifier, type DpopVerifier, decoded, thumbprint } from './fixtures/dpop-verifier.ts'
import type { McpServerFixture, McpServerOptions } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'
import { buildSessionProgram, type SessionProgram } from './session-program.ts'

// Tokens bound to a key (RFC 9449), at oidc-provider as it is and a server that checks every proof by itself.

const NONCE = 'nonce-of-the-mcp-server'
let authorizationServer: AuthorizationServer
let server: McpServerFixture
let verifier: DpopVerifier
let home: string
const benches: Workbench[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-dpop-'))
})
afterEach(async () => {
  await Promise.all(benches.splice(0).map((bench) => bench.close()))
  await Promise.all([server?.close(), authorizationServer?.close()])
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

async function start(
  { withNonces = false, ...options }: AuthorizationServerOptions & { withNonces?: boolean } = {},
  more: McpServerOptions = {},
): Promise<void> {
  const nonces = { nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }
  const dPoP = { enabled: true, ...(withNonces && nonces) }
  authorizationServer = await startAuthorizationServer({ features: { dPoP }, ...options })
  verifier = createDpopVerifier(withNonces ? { nonce: NONCE } : {})
  server = await startProtectedServer(authorizationServer, { protection: { dpop: verifier }, ...more })
}

/** As a process of its own: nothing in common with the one before but the files. */
async function newProcess(options: Parameters<typeof openWorkbench>[0] = {}): Promise<Workbench> {
  const bench = await openWorkbench({ home, ...options })
  benches.push(bench)
  return bench
}

const entry = (auth: OAuthConfig = {}) => ({ url: server.url, auth: { dpop: true, ...auth } })
const tokenRequests = () => authorizationServer.requests.to('/token')
const storedKey = async () => (await storedLogins(home))[0]!.record.dpop_key as JsonObject

async function whoami(bench: Workbench, auth?: OAuthConfig): Promise<unknown> {
  const session = await bench.client({ demo: entry(auth) }).createSession('demo')
  return (await session.callTool('whoami')).content
}

const ALICE = [{ type: 'text', text: 'alice' }]

describe.each([
  ['without nonces', false],
  ['with nonces at both servers', true],
])('%s', (_, withNonces) => {
  test('[DPOP-03] [DPOP-04] [DPOP-12] a sign-in binds the tokens to a key, and every request proves it once', async () => {
    await start({ withNonces })
    const bench = await newProcess()
    expect(await whoami(bench)).toEqual(ALICE)

    const { record } = (await storedLogins(home))[0]!
    expect(record.token_type).toBe('dpop')
    const jkt = thumbprint({ header: { jwk: record.dpop_key as Record<string, string> } })
    expect(authorizationServer.requests.to('/auth')[0]!.query.get('dpop_jkt')).toBe(jkt)
    expect(JSON.parse(authorizationServer.requests.to('/reg')[0]!.body)).toMatchObject({
      dpop_bound_access_tokens: true,
    })

    const authorized = server.requests.filter(({ headers }) => headers.authorization)
    expect(authorized.length).toBeGreaterThan(1)
    for (const { headers } of authorized) {
      expect(headers.authorization).toBe(`DPoP ${record.access_token}`)
    }
    expect(verifier.refusals).toEqual([])
    expect(verifier.proofs.map(thumbprint)).toEqual(verifier.proofs.map(() => jkt))
    // The nonce is learned from the first refusal and used from then on.
    expect(authorized.filter(({ status }) => status === 401)).toHaveLength(withNonces ? 1 : 0)
  })

  test('[DPOP-05] the token request repeats the same code with a fresh proof where a nonce is wanted', async () => {
    await start({ withNonces })
    await whoami(await newProcess())
    expect(tokenRequests().map(({ status }) => status)).toEqual(withNonces ? [400, 200] : [200])
    const codes = new Set(tokenRequests().map((request) => parameters(request).code))
    expect(codes.size).toBe(1)
    const proofs = tokenRequests().map(({ headers }) => decoded(headers.dpop)!)
    expect(new Set(proofs.map(({ claims }) => claims.jti)).size).toBe(proofs.length)
    for (const { claims } of proofs) {
      expect(claims).toMatchObject({ htm: 'POST', htu: `${authorizationServer.origin}/token` })
      expect(claims.ath).toBeUndefined()
    }
  })

  test('[DPOP-11] a refresh proves the key that is stored, and keeps it', async () => {
    await start({ withNonces })
    await whoami(await newProcess())
    const key = await storedKey()
    await changeStoredLogins(home, expired)
    authorizationServer.requests.clear()
    const bench = await newProcess()
    expect(await whoami(bench)).toEqual(ALICE)
    expect(bench.browser.opened).toEqual([])
    expect(tokenRequests().map((request) => parameters(request).grant_type)).toEqual(
      Array(withNonces ? 2 : 1).fill('refresh_token'),
    )
    expect(await storedKey()).toEqual(key)
    expect(verifier.refusals).toEqual([])
  })
})

test('[DPOP-06] a nonce that the MCP server replaces in between costs one refused request, not a renewal', async () => {
  await start({ withNonces: true })
  const session = await (await newProcess()).client({ demo: entry() }).createSession('demo')
  await session.callTool('whoami')
  server.requests.clear()
  authorizationServer.requests.clear()
  verifier.nonce = 'the-next-one'
  expect((await session.callTool('whoami')).content).toEqual(ALICE)
  expect(server.requests.map(({ status }) => status).sort()).toEqual([200, 401])
  expect(authorizationServer.requests).toEqual([])
})

test('a token that is refused is renewed and the request made again, each time with another proof', async () => {
  await start({ withNonces: true })
  const session = await (await newProcess()).client({ demo: entry() }).createSession('demo')
  authorizationServer.expireAccessTokens()
  expect((await session.callTool('whoami')).content).toEqual(ALICE)
  expect(tokenRequests().at(-1)!.status).toBe(200)
  expect(verifier.refusals).toEqual([])
})

test('[DPOP-03] each hop of a redirect and each method has a proof of its own', async () => {
  await start()
  const bench = await newProcess()
  await bench.login({ name: 'demo', ...entry() })
  server.requests.clear()
  server.intercept = ({ pathname }) =>
    pathname === '/old' ? { status: 307, headers: { location: '/mcp?new=1' } } : undefined
  const fetch = bench.latchkey.authorizedFetch(entry())
  await fetch(`${server.origin}/old?secret=1`, { method: 'delete', headers: { dpop: 'of the caller' } })
  const claims = server.requests.map(({ headers }) => decoded(headers.dpop)!.claims)
  expect(claims.map(({ htm, htu }) => [htm, htu])).toEqual([
    ['DELETE', `${server.origin}/old`],
    ['DELETE', server.url],
  ])
  expect(claims[0]!.jti).not.toBe(claims[1]!.jti)
  expect(verifier.refusals).toEqual([])
})

test('[DPOP-11] a new sign-in has a new key', async () => {
  await start()
  const bench = await newProcess()
  await bench.login({ name: 'demo', ...entry() })
  const first = await storedKey()
  await bench.login({ name: 'demo', ...entry() })
  expect((await storedKey()).d).not.toBe(first.d)
})

test('signing in anew does not use a client registered for bearer tokens, nor the other way round', async () => {
  await start()
  const bench = await newProcess()
  const registrations = () => authorizationServer.requests.to('/reg').length
  await bench.login({ name: 'demo', ...entry() })
  await bench.login({ name: 'demo', ...entry() })
  expect(registrations()).toBe(1)
  server.protect = { ...(server.protect as { kind: 'none' }), dpop: undefined } as never
  await bench.login({ name: 'demo', url: server.url })
  expect(registrations()).toBe(2)
  expect((await storedLogins(home))[0]!.record).toMatchObject({ token_type: 'bearer' })
})

test('stolen tokens are worth nothing with another key: neither server takes its proofs', async () => {
  await start()
  await whoami(await newProcess())
  const other = (await generateDpopKey('ES256')) as unknown as JsonObject
  await changeStoredLogins(home, (record) => ({ ...record, dpop_key: other }))
  const thief = await newProcess({ options: { interactive: 'never' } })
  const error = await failureOf<Error & { code: string }>(whoami(thief))
  expect(error.code).toBe('login_required')
  expect(verifier.refusals).toContain('another key than the one of the token')
  expect(tokenRequests().at(-1)!.status).toBe(400)
})

describe('what is refused', () => {
  test('a server that takes only DPoP, without the setting: says what to set, and opens no browser', async () => {
    await start()
    const bench = await newProcess()
    for (const act of [
      () => bench.login({ name: 'demo', url: server.url }),
      () => bench.client({ demo: { url: server.url } }).createSession('demo'),
      () => bench.latchkey.authorizedFetch({ url: server.url })(server.url, { method: 'POST', body: '{}' }),
    ]) {
      const error = await failureOf<Error & { code: string }>(act())
      expect(error).toMatchObject({ code: 'dpop_required' })
      expect(error.message).toContain('`auth.dpop`')
    }
    expect(bench.browser.opened).toEqual([])
    expect(authorizationServer.requests.to('/reg')).toEqual([])
  })

  test('[DPOP-04] a bearer token where a bound one was asked for: nothing is stored', async () => {
    await start()
    authorizationServer.rewriteAnswer = ({ pathname }, { body }) =>
      pathname === '/token' ? { body: { ...(body as object), token_type: 'Bearer' } } : undefined
    const bench = await newProcess()
    const error = await failureOf<Error & { code: string }>(bench.login({ name: 'demo', ...entry() }))
    expect(error.code).toBe('response_invalid')
    expect(error.message).toContain('remove `auth.dpop`')
    expect(await storedLogins(home)).toEqual([])
    expect((await bench.lastPage()).html).toContain('response_invalid')
  })

  test('[DPOP-02] an authorization server that takes none of our algorithms: before the browser opens', async () => {
    await start()
    authorizationServer.rewriteAnswer = ({ pathname }, { body }) =>
      pathname.startsWith('/.well-known/')
        ? { body: { ...(body as object), dpop_signing_alg_values_supported: ['RS256'] } }
        : undefined
    const bench = await newProcess()
    const error = await failureOf<Error & { code: string }>(bench.login({ name: 'demo', ...entry() }))
    expect(error.code).toBe('unsupported')
    expect(error.message).toContain('"RS256"')
    expect(bench.browser.opened).toEqual([])
  })

  test('a proof that the server never takes is told as that, after no more than one request', async () => {
    await start()
    const bench = await newProcess()
    await bench.login({ name: 'demo', ...entry() })
    server.requests.clear()
    const headers = { 'www-authenticate': 'DPoP error="invalid_dpop_proof"' }
    server.intercept = () => ({ status: 401, headers })
    const fetch = bench.latchkey.authorizedFetch({ name: 'demo', ...entry() })
    const error = await failureOf<Error & { code: string }>(fetch(server.url, { method: 'POST', body: '{}' }))
    expect(error).toMatchObject({ code: 'credential_refused', scheme: 'dpop' })
    expect(server.requests).toHaveLength(1)
    expect(await storedLogins(home)).toHaveLength(1)
  })

  test('[DPOP-08] a nonce that is asked for and never taken ends after two requests', async () => {
    await start()
    const bench = await newProcess()
    await bench.login({ name: 'demo', ...entry() })
    server.requests.clear()
    server.intercept = () => ({
      status: 401,
      headers: {
        'www-authenticate': 'DPoP error="use_dpop_nonce"',
        'dpop-nonce': `n${server.requests.length}`,
      },
    })
    const fetch = bench.latchkey.authorizedFetch({ name: 'demo', ...entry() })
    const error = await failureOf<Error & { code: string }>(fetch(server.url, { method: 'POST', body: '{}' }))
    expect(error.code).toBe('credential_refused')
    expect(server.requests).toHaveLength(2)
  })

  test('a stored bearer login, once the configuration wants bound tokens', async () => {
    await start()
    const bench = await newProcess()
    await bench.login({ name: 'demo', ...entry() })
    await changeStoredLogins(home, ({ dpop_key: _, ...record }) => ({ ...record, token_type: 'bearer' }))
    const told: LatchkeyEvent[] = []
    const onEvent = (event: LatchkeyEvent) => void told.push(event)
    expect(await bench.latchkey.status(entry(), { onEvent })).toMatchObject({ state: 'signed_out' })
    expect(told).toMatchObject([{ type: 'warning', code: 'record_does_not_fit' }])
  })
})

test('[DPOP-10] neither events nor errors nor the status hold the key', async () => {
  await start({ withNonces: true })
  const bench = await newProcess()
  await whoami(bench)
  await changeStoredLogins(home, expired)
  const status = await bench.latchkey.status(entry())
  authorizationServer.intercept = ({ pathname }) =>
    pathname === '/token' ? { status: 400, body: { error: 'invalid_dpop_proof' } } : undefined
  const later = await newProcess()
  const error = await failureOf(whoami(later))
  const { d } = await storedKey()
  expect(String(d)).toMatch(/^[\w-]{43}$/)
  expect(JSON.stringify([bench.events, later.events, status, error, error.message])).not.toContain(d)
  const sent = [...server.requests, ...authorizationServer.requests]
  const proofs = sent.flatMap(({ headers }) => decoded(headers.dpop) ?? [])
  expect(JSON.stringify([sent, proofs])).not.toContain(d)
})

test('[EXT-01] [EXT-02] the extension is declared to the server that is configured for it, and to no other', async () => {
  await start()
  await whoami(await newProcess())
  const ours = 'io.modelcontextprotocol/auth/dpop'
  expect(server.requests.some(({ body }) => body.includes(ours))).toBe(true)
  server.protect = { kind: 'none' }
  server.requests.clear()
  await (await newProcess()).client({ demo: { url: server.url } }).createSession('demo')
  expect(server.requests.length).toBeGreaterThan(0)
  expect(server.requests.some(({ body }) => body.includes(ours))).toBe(false)
})

test('[DPOP-03] SSE: the event stream and the messages carry proofs as well', async () => {
  await start({}, { transport: 'sse' })
  expect(await whoami(await newProcess())).toEqual(ALICE)
  expect(new Set(verifier.proofs.map(({ claims }) => claims.htm))).toEqual(new Set(['GET', 'POST']))
  expect(verifier.refusals).toEqual([])
})

describe('a real process that starts later', () => {
  let program: SessionProgram
  beforeAll(async () => {
    program = await buildSessionProgram()
  })
  afterAll(() => program.remove())

  test('[DPOP-10] uses the key of the one before, for its requests and for its refresh', async () => {
    await start({ withNonces: true })
    const work = { server: entry() }
    expect(await program.run(home, work)).toMatchObject({ said: ['alice'], exitCode: 0, stderr: '' })
    const key = await storedKey()
    const second = await program.run(home, { ...work, interactive: 'never' })
    expect(second).toMatchObject({ said: ['alice'], exitCode: 0, stderr: '' })
    expect(second.events).not.toContain('authorization_started')
    await changeStoredLogins(home, expired)
    const third = await program.run(home, { ...work, interactive: 'never' })
    expect(third).toMatchObject({ said: ['alice'], exitCode: 0, stderr: '' })
    expect(third.exchanges.slice(0, 2)).toEqual(['token POST 400', 'token POST 200'])
    expect(await storedKey()).toEqual(key)
    expect(verifier.refusals).toEqual([])
  })
})

describe.each([{ withNonces: false }, { withNonces: true }])(
  'a grant, $withNonces nonces',
  ({ withNonces }) => {
    const auth = {
      grant: 'client_credentials',
      client_id: 'machine',
      client_secret: 'secret-of-the-machine',
    } as const
    const machine = {
      client_id: 'machine',
      client_secret: 'secret-of-the-machine',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    }
    const nonces = { nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }
    const dPoP = { enabled: true, ...(withNonces && nonces) }

    test('binds its token to a key, and is run again with the same key', async () => {
      await start({ clients: [machine], features: { dPoP, clientCredentials: { enabled: true } } })
      const call = async () => {
        const client = (await newProcess({ options: { interactive: 'never' } })).client({ demo: entry(auth) })
        return (await client.createSession('demo')).callTool('echo', { text: 'bound' })
      }
      const bound = { content: [{ type: 'text', text: 'bound' }] }
      expect(await call()).toMatchObject(bound)
      const key = await storedKey()
      await changeStoredLogins(home, expired)
      expect(await call()).toMatchObject(bound)
      expect(await storedKey()).toEqual(key)
      expect(tokenRequests().map(({ status }) => status)).toEqual(
        withNonces ? [400, 200, 400, 200] : [200, 200],
      )
      expect(new Set(tokenRequests().map(({ headers }) => thumbprint(decoded(headers.dpop)!))).size).toBe(1)
      expect(verifier.refusals).toEqual([])
    })

    test('takes no bearer token in its place', async () => {
      await start({ clients: [machine], features: { clientCredentials: { enabled: true } } })
      const bench = await newProcess({ options: { interactive: 'never' } })
      expect(await failureOf(bench.login({ name: 'demo', ...entry(auth) }))).toMatchObject({
        code: 'response_invalid',
      })
      expect(await storedLogins(home)).toEqual([])
    })
  },
)
