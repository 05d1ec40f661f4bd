import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { serverDomain } from '../src/credentials/identity.ts'
import { systemClock } from '../src/node/clock.ts'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { startScriptedAuthorizationServer, tokenError } from './fixtures/scripted-authorization-server.ts'
import { failureOf, openWorkbench, type Workbench, type WorkbenchOptions } from './fixtures/workbench.ts'

const opened = closedAfterEach()

async function bench(options: WorkbenchOptions = {}): Promise<Workbench> {
  const made = await openWorkbench(options)
  opened.push(made)
  return made
}

async function protectedServer() {
  const authorizationServer = await startAuthorizationServer()
  const server = await startProtectedServer(authorizationServer)
  opened.push(authorizationServer, server)
  return { authorizationServer, server }
}

describe('nobody signs in for nothing', () => {
  test("another program's file where the login would go: said before anything is asked", async () => {
    const { authorizationServer, server } = await protectedServer()
    const own = await bench()
    const folder = join(own.home, 'tokens')
    const file = join(folder, `${serverDomain(server.url)}.json`)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(file, '{"access_token":"of another program"}', { mode: 0o600 })
    expect(await failureOf(own.login({ url: server.url }))).toMatchObject({
      code: 'store_failed',
      location: file,
    })
    expect(own.browser.opened).toEqual([])
    expect(authorizationServer.requests.lines()).toEqual([])
    expect(await readFile(file, 'utf8')).toBe('{"access_token":"of another program"}')
  })

  test('a home that cannot be made: said at once', async () => {
    const { authorizationServer, server } = await protectedServer()
    const own = await bench({ home: '/proc/nowhere' })
    expect(await failureOf(own.login({ url: server.url }))).toMatchObject({ code: 'store_failed' })
    expect(own.browser.opened).toEqual([])
    expect(authorizationServer.requests.lines()).toEqual([])
  })
})

test('an authorization server that never answers keeps no other server waiting', async () => {
  const { server } = await protectedServer()
  const hung = await startScriptedAuthorizationServer({ mcp: {} })
  opened.push(hung)
  hung.intercept = ({ pathname }) =>
    pathname.startsWith('/.well-known/oauth-auth') ? { hang: true } : undefined
  const abort = new AbortController()
  const own = await bench({ options: { signal: abort.signal } })
  const client = own.client({ hung: { url: hung.url! }, demo: { url: server.url } })
  const started = performance.now()
  const all = client.createAllSessions()
  await expect
    .poll(() => own.told('connected').map((event) => event.server), { timeout: 10_000 })
    .toEqual(['demo'])
  expect(performance.now() - started).toBeLessThan(9_000)
  abort.abort()
  expect((await all).errors).toHaveProperty('hung')
})

test('[USE-08] a login that is over does not become an anonymous request', async () => {
  const { authorizationServer, server } = await protectedServer()
  const own = await bench()
  const entry = { name: 'demo', url: server.url, auth: { offline_access: false } }
  await own.login(entry)
  const later = await bench({
    home: own.home,
    clock: { ...systemClock, now: () => Date.now() + 24 * 60 * 60 * 1000 },
  })
  server.requests.clear()
  const fetch = later.latchkey.authorizedFetch(entry)
  expect(await failureOf(fetch(server.url, { method: 'POST', body: '{}' }))).toMatchObject({
    code: 'login_required',
    remedy: 'Run: latchkey login demo',
  })
  expect(server.requests).toHaveLength(0)
  expect(authorizationServer.requests.to('/token')).toHaveLength(1)
})

test('a refresh that the server refuses for now is sent once, and no other transport is tried', async () => {
  const as = await startScriptedAuthorizationServer({ mcp: {}, accessTokenSeconds: 1 })
  opened.push(as)
  const own = await bench()
  await own.login({ name: 'demo', url: as.url! })
  const later = await bench({ home: own.home, clock: { ...systemClock, now: () => Date.now() + 3_600_000 } })
  as.scripts.token = () => tokenError('invalid_request', 'not like this')
  as.requests.clear()
  expect(await failureOf(later.client({ demo: { url: as.url! } }).createSession('demo'))).toMatchObject({
    code: 'token_request_refused',
    error: 'invalid_request',
  })
  expect(as.requests.lines()).toEqual(['POST /token'])
})

test('[STORE-04] a server that repeats what it was sent gets none of it into an error', async () => {
  const as = await startScriptedAuthorizationServer({ mcp: {} })
  opened.push(as)
  as.scripts.token = ({ body }) => tokenError('invalid_grant', `You sent ${body}`)
  const own = await bench()
  const error = await failureOf(own.login({ name: 'demo', url: as.url! }))
  const sent = new URLSearchParams(as.requests.to('/token')[0]!.body)
  for (const name of ['code', 'code_verifier']) {
    const secret = sent.get(name)!
    expect(`${error} ${JSON.stringify(error)} ${JSON.stringify(own.events)}`).not.toContain(
      secret.slice(0, 8),
    )
  }
})

test('nor of the assertion or the secret of a grant', async () => {
  const as = await startScriptedAuthorizationServer({ mcp: {} })
  opened.push(as)
  as.scripts.token = ({ body }) => tokenError('invalid_grant', `You sent ${body}`)
  const own = await bench()
  const assertion = 'eyJhbGciOiJFUzI1NiJ9.workload-claims.workload-signature'
  const auth = {
    grant: 'jwt-bearer',
    client_id: 'app',
    client_secret: 'secret-of-the-app',
    assertion,
  } as const
  const error = await failureOf(own.login({ name: 'demo', url: as.url!, auth }))
  expect(error).toMatchObject({ code: 'token_request_refused', error: 'invalid_grant' })
  const said = `${error} ${JSON.stringify(error)} ${JSON.stringify(own.events)}`
  expect(said).not.toContain('workload')
  expect(said).not.toContain('secret-of')
})

test.each([
  ['throws', () => Promise.reject(new Error('no key'))],
  ['returns nothing', () => undefined as never],
])('custom authentication that %s is named as the fault, not the server', async (_title, auth) => {
  const { server } = await protectedServer()
  const own = await bench()
  const client = own.client({ demo: { url: server.url, auth } })
  expect(await failureOf(client.createSession('demo'))).toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('custom authentication of demo'),
  })
})

test.each([
  [{ interactive: false }, 'options.interactive'],
  [{ interactiv: 'never' }, 'options.interactiv'],
  [{ callbackTimeout: Number.NaN }, 'options.callbackTimeout'],
  [{ store: 'keychian' }, 'options.store'],
])('an option that cannot be meant is an error, not a browser: %j', async (options, key) => {
  const { server } = await protectedServer()
  const own = await bench()
  expect(await failureOf(own.login({ url: server.url }, options as never))).toMatchObject({
    code: 'config_invalid',
    key,
  })
  expect(own.browser.opened).toEqual([])
})
