import { expect, test, vi } from 'vitest'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileScene, type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import { type LoopbackServer, startLoopbackServer } from '../fixtures/loopback-server.ts'
import type { ScriptedAuthorizationServer } from '../fixtures/scripted-authorization-server.ts'
import { freePort } from '../fixtures/workbench.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: a redirect to another origin, where what a request carries would be somebody else's.

vi.setConfig({ testTimeout: 180_000 })

const opened = closedAfterEach()
const scene = scenesNotedIn(opened)

const SECRET = 'canary-client-secret'

/** Takes whatever comes, as the attacker's server does. */
async function catcher(): Promise<LoopbackServer> {
  const server = await startLoopbackServer((_request, response) => response.writeHead(200).end('{}'))
  opened.push(server)
  return server
}

/** A server whose client is configured, with a secret, and gets a header beside. */
async function withSecrets(): Promise<HostileServer> {
  const callback_port = await freePort()
  const redirect_uris = [`http://localhost:${callback_port}/callback`]
  return {
    server: { mcp: {}, clients: [{ client_id: 'mine', client_secret: SECRET, redirect_uris }] },
    config: {
      headers: { 'X-API-Key': 'canary-api-key' },
      auth: { client_id: 'mine', client_secret: SECRET, callback_port },
    },
  }
}

/** The documents of the store, without its locks. */
const documents = (all: HostileScene) =>
  Object.entries(all.stored()).filter(([name]) => name.endsWith('.json'))

/** From now on a path answers with a redirect to the same path of the other origin. */
function redirect(
  server: ScriptedAuthorizationServer,
  path: string,
  status: number,
  to: LoopbackServer,
): void {
  server.intercept = ({ pathname }) =>
    pathname === path ? { status, headers: { location: to.origin + path } } : undefined
}

const STATUSES = [301, 302, 303, 307, 308]

test('S13 CVE-2026-111769: after a good login the MCP server redirects a request with token, API key and session', async () => {
  const evil = await catcher()
  const inputs = await Promise.all(
    STATUSES.map(async (status) => [`${status}`, await withSecrets()] as const),
  )
  const all = await scene(Object.fromEntries(inputs))
  const names = Object.keys(all.hostile)
  expect(summary(await all.stranger.useAll())).toEqual(
    Object.fromEntries([...names, 'good'].map((name) => [name, 'alice'])),
  )
  for (const [name, server] of Object.entries(all.hostile)) {
    const carried = server.requests.to('/mcp', 'POST').at(-1)!.headers
    expect(Object.keys(carried)).toEqual(expect.arrayContaining(['authorization', 'x-api-key']))
    redirect(server, '/mcp', Number(name), evil)
  }
  const before = documents(all)
  expect(summary(await all.stranger.useAll())).toEqual({
    // The answer as it came: what the MCP SDK makes of an HTTP error within a session.
    ...Object.fromEntries(names.map((name) => [name, 'CLIENT_HTTP_NOT_IMPLEMENTED'])),
    good: 'alice',
  })
  // So with the bare `fetch`: it would follow a redirect, but not there.
  expect(summary(await all.stranger.postToAll())).toEqual({
    ...Object.fromEntries(names.map((name) => [name, `HTTP ${name}`])),
    good: expect.stringMatching(/^HTTP 4/),
  })
  expect(evil.requests.lines()).toEqual([])
  expect(documents(all)).toEqual(before)
  expect(all.browsers()).toHaveLength(names.length + 1)
})

test('S13 CVE-2026-111769: the token endpoint redirects the code, the verifier and the client secret', async () => {
  const evil = await catcher()
  const inputs = await Promise.all(
    STATUSES.map(async (status) => [`${status}`, await withSecrets()] as const),
  )
  const all = await scene(Object.fromEntries(inputs))
  const names = Object.keys(all.hostile)
  for (const name of names) redirect(all.hostile[name]!, '/token', Number(name), evil)
  expect(summary(await all.stranger.useAll())).toEqual({
    ...Object.fromEntries(names.map((name) => [name, 'response_invalid'])),
    good: 'alice',
  })
  for (const server of Object.values(all.hostile)) expect(server.requests.to('/token')).toHaveLength(1)
  expect(evil.requests.lines()).toEqual([])
  expect(
    Object.values(all.stored())
      .join()
      .match(/"access_token"/g),
  ).toHaveLength(1)
})

test('S13 CVE-2026-111769: the token endpoint redirects the refresh token, and the login is kept', async () => {
  const evil = await catcher()
  const inputs = await Promise.all(
    STATUSES.map(async (status) => [`${status}`, await withSecrets()] as const),
  )
  const all = await scene(Object.fromEntries(inputs))
  const names = Object.keys(all.hostile)
  await all.stranger.useAll()
  for (const [name, server] of Object.entries(all.hostile)) {
    server.expireAccessTokens()
    redirect(server, '/token', Number(name), evil)
  }
  const before = documents(all)
  expect(summary(await all.stranger.useAll())).toEqual({
    ...Object.fromEntries(names.map((name) => [name, 'response_invalid'])),
    good: 'alice',
  })
  expect(evil.requests.lines()).toEqual([])
  expect(documents(all)).toEqual(before)
  // Nothing is lost: with the endpoint back, the same refresh token serves.
  for (const server of Object.values(all.hostile)) server.intercept = undefined
  expect(summary(await all.stranger.useAll())).toEqual(
    Object.fromEntries([...names, 'good'].map((name) => [name, 'alice'])),
  )
})

test('S13 CVE-2026-111769: registration, revocation and the probe are redirected', async () => {
  const evil = await catcher()
  const headers = { 'X-API-Key': 'canary-api-key' }
  const all = await scene({
    registration: { config: { headers }, arrange: (server) => redirect(server, '/register', 307, evil) },
    probe: { config: { headers }, arrange: (server) => redirect(server, '/mcp', 307, evil) },
    revocation: { config: { headers }, arrange: (server) => redirect(server, '/revoke', 308, evil) },
  })
  expect(summary(await all.stranger.useAll())).toEqual({
    registration: 'registration_refused',
    probe: 'connect_failed',
    revocation: 'alice',
    good: 'alice',
  })
  const login = await all.command('login', 'registration', '--json', '--interactive', 'always')
  expect([login.code, JSON.parse(login.stdout).error.code]).toEqual([5, 'registration_refused'])
  const logout = await all.command('logout', 'revocation', '--json')
  // Gone here; there it was not, and that is said.
  expect([logout.code, JSON.parse(logout.stdout)]).toEqual([
    1,
    expect.objectContaining({ outcome: 'failed' }),
  ])
  expect(all.hostile.revocation!.requests.to('/revoke').length).toBeGreaterThan(0)
  expect(evil.requests.lines()).toEqual([])
  expect((await all.command('call', 'good', 'whoami')).stdout).toContain('alice')
})

test('S13 CVE-2026-111769: a request without a body may be redirected, the headers of the person stay behind', async () => {
  const evil = await catcher()
  evil.handler = (_request, response) => response.writeHead(404).end()
  const document = '/.well-known/oauth-protected-resource/mcp'
  const config = { headers: { 'X-API-Key': 'canary-api-key', Cookie: 'canary=1' } }
  const all = await scene({
    document: { config, arrange: (server) => redirect(server, document, 302, evil) },
    // An SSE server, as far as the first request can tell: it is asked again with a GET.
    probe: {
      config,
      arrange: (server) => {
        const headers = { location: `${evil.origin}/mcp` }
        server.intercept = ({ pathname, method }) => {
          if (pathname !== '/mcp') return undefined
          return method === 'GET' ? { status: 302, headers } : { status: 405 }
        }
      },
    },
  })
  const login = await all.command('login', 'probe', '--timeout', '10', '--json', '--interactive', 'always')
  expect(login.code).toBe(0)
  expect(evil.requests.lines()).toEqual(['GET /mcp'])
  expect(summary(await all.stranger.useAll())).toEqual({
    document: 'discovery_failed',
    probe: 'connect_failed',
    good: 'alice',
  })
  expect(evil.requests.lines()).toContain(`GET ${document}`)
  for (const server of Object.values(all.hostile)) {
    expect(JSON.stringify([...server.requests])).toContain('canary')
  }
  expect(JSON.stringify([...evil.requests])).not.toContain('canary')
})
