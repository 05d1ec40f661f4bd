import { generateKeyPairSync } from 'node:crypto'
import type { Miniflare } from 'miniflare'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuthConfig, OAuthConfig } from '../src/config/input.ts'
import type { JsonObject, StoredRecord } from '../src/ports.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import { createDpopVerifier } from './fixtures/dpop-verifier.ts'
import type { OAuthProtection } from './fixtures/mcp-protection.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { expired, storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { startWorker } from './fixtures/workerd.ts'
import type { Done, Work } from './fixtures/workers/mcp-caller.ts'

// The entry that runtimes without Node get, on such a runtime: no `node:*` module, no file, no port, nobody to ask.

let worker: Miniflare
beforeEach(async () => {
  worker = await startWorker({ entry: 'mcp-caller.ts' })
})
const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  await worker?.dispose()
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

let authorizationServer: AuthorizationServer
let server: McpServerFixture
async function start(
  options: AuthorizationServerOptions = {},
  protection: Partial<OAuthProtection> = {},
): Promise<void> {
  authorizationServer = await startAuthorizationServer(options)
  server = await startProtectedServer(authorizationServer, { protection })
  opened.push(authorizationServer, server)
}

async function perform(work: Work): Promise<Done> {
  const response = await worker.dispatchFetch('http://worker.test/', {
    method: 'POST',
    body: JSON.stringify(work),
  })
  return (await response.json()) as Done
}

/** Somebody signed in where there is a browser, an hour ago. */
async function loginOfAnHourAgo(auth?: OAuthConfig): Promise<StoredRecord> {
  const bench = await openWorkbench()
  opened.push(bench)
  await bench.login({ url: server.url, ...(auth && { auth }) })
  authorizationServer.expireAccessTokens()
  authorizationServer.requests.clear()
  server.requests.clear()
  const [login] = await storedLogins(bench.home)
  return { ...login!, record: expired(login!.record) }
}

const alice = [{ type: 'text', text: 'alice' }]
const tokenRequests = () => authorizationServer.requests.to('/token').map(parameters)

describe('a login that was put into the store of a Worker', () => {
  test('is renewed once for all calls of a session, and nothing else is asked', async () => {
    await start()
    const login = await loginOfAnHourAgo()
    const done = await perform({ server: { url: server.url }, logins: [login], by: 'session', calls: 5 })
    expect(done).toMatchObject({ said: Array(5).fill(alice) })
    expect(done.error).toBeUndefined()
    expect(authorizationServer.requests.lines()).toEqual(['POST /token'])
    expect(tokenRequests()).toMatchObject([
      { grant_type: 'refresh_token', refresh_token: login.record.refresh_token },
    ])
    expect(server.requests.map(({ status }) => status)).not.toContain(401)
    expect(done.login?.refresh_token).not.toBe(login.record.refresh_token)
    // The next request finds what the first one stored.
    expect(await perform({ server: { url: server.url }, by: 'session', calls: 1 })).toMatchObject({
      said: [alice],
    })
    expect(tokenRequests()).toHaveLength(1)
  })

  test('is renewed once for all requests that reach the Worker at the same time', async () => {
    await start()
    const work: Work = { server: { url: server.url }, by: 'fetch', calls: 3 }
    const logins = [await loginOfAnHourAgo()]
    await perform({ ...work, logins, calls: 0 })
    const all = await Promise.all(Array.from({ length: 4 }, () => perform(work)))
    for (const done of all) expect(done).toMatchObject({ said: [200, 200, 200] })
    expect(tokenRequests()).toHaveLength(1)
  })

  test('is used and renewed with its key, when it is bound to one', async () => {
    const dpop = createDpopVerifier()
    await start({ features: { dPoP: { enabled: true } } }, { dpop })
    const login = await loginOfAnHourAgo({ dpop: true })
    const done = await perform({
      server: { url: server.url },
      logins: [login],
      by: 'session',
      calls: 2,
    })
    expect(done).toMatchObject({ said: [alice, alice] })
    expect(dpop.refusals).toEqual([])
    expect(done.login).toMatchObject({ token_type: 'dpop', dpop_key: login.record.dpop_key })
    const [refresh] = authorizationServer.requests.to('/token')
    expect(refresh?.headers.dpop).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(server.requests.at(-1)?.headers.authorization).toBe(`DPoP ${done.login?.access_token}`)
  })

  test('that is not there is said at once: nobody can be asked in a Worker', async () => {
    await start()
    for (const by of ['session', 'fetch'] as const) {
      const done = await perform({ server: { url: server.url }, by, calls: 1 })
      expect(done.error).toMatchObject({ name: 'UnauthorizedError', code: 'login_required' })
    }
    expect(authorizationServer.requests.to('/register')).toEqual([])
  })

  test('a redirect of the MCP server is not followed', async () => {
    await start()
    const login = await loginOfAnHourAgo()
    const elsewhere = await startProtectedServer(authorizationServer)
    opened.push(elsewhere)
    server.intercept = () => ({ status: 307, headers: { location: elsewhere.url } })
    const done = await perform({ server: { url: server.url }, logins: [login], by: 'fetch', calls: 1 })
    expect(done.said).toEqual([307])
    expect(elsewhere.requests).toEqual([])
  })
})

describe('a Worker with a client of its own', () => {
  const machine = (members: JsonObject) => ({
    registration: false,
    features: { clientCredentials: { enabled: true } },
    clients: [
      {
        client_id: 'machine',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        ...members,
      },
    ],
  })
  const MACHINE = { grant: 'client_credentials', client_id: 'machine' } as const

  test.each(['session', 'fetch'] as const)('gets one token with its secret, by %s', async (by) => {
    await start(machine({ client_secret: 'of-the-worker' }))
    const auth: AuthConfig = { ...MACHINE, client_secret: 'of-the-worker' }
    const done = await perform({ server: { url: server.url, auth }, by, calls: 3 })
    expect(done.error).toBeUndefined()
    expect(done.said).toHaveLength(3)
    expect(tokenRequests()).toMatchObject([{ grant_type: 'client_credentials', resource: server.url }])
  })

  test('gets one token with its private key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const keys = [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] as JsonObject[]
    await start(machine({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys } }))
    const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const auth: AuthConfig = { ...MACHINE, private_key }
    const done = await perform({ server: { url: server.url, auth }, by: 'session', calls: 2 })
    expect(done.error).toBeUndefined()
    expect(done.said).toHaveLength(2)
    expect(tokenRequests()).toMatchObject([{ client_assertion: expect.stringContaining('.') }])
  })

  test('a secret of a variable or a file is refused by name: there are none', async () => {
    await start(machine({ client_secret: 'of-the-worker' }))
    const auth: AuthConfig = { ...MACHINE, client_secret_env: 'SECRET' }
    const done = await perform({ server: { url: server.url, auth }, by: 'session', calls: 1 })
    expect(done.error).toMatchObject({ code: 'unsupported' })
    expect(tokenRequests()).toEqual([])
  })
})
