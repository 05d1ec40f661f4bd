import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { refresh, signIn } from './fixtures/plain-client.ts'
import { parameters } from './fixtures/request-log.ts'
import { createShiftedClock } from './fixtures/shifted-clock.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench, type Workbench, type WorkbenchOptions } from './fixtures/workbench.ts'
import {
  startWorkersAuthorizationServer,
  type WorkersAuthorizationServer,
} from './fixtures/workers-authorization-server.ts'

let server: WorkersAuthorizationServer
beforeAll(async () => {
  server = await startWorkersAuthorizationServer({ accessTokenSeconds: 60 })
})
afterAll(() => server?.close())

const benches: Workbench[] = []
afterEach(async () => {
  await Promise.all(benches.splice(0).map((bench) => bench.close()))
  server.requests.clear()
})
async function newBench(options?: WorkbenchOptions): Promise<Workbench> {
  const bench = await openWorkbench(options)
  benches.push(bench)
  return bench
}

const text = (value: string) => [{ type: 'text', text: value }]
const tokenRequests = () => server.requests.to('/token').map(parameters)
const grantTypes = () => tokenRequests().map(({ grant_type }) => grant_type)

describe('the provider itself', () => {
  async function plainSignIn(): Promise<{ client_id: string; refresh_token: string; token: string }> {
    const { client_id, token } = await signIn(await server.metadata(), {
      resource: server.url,
      scope: 'mcp:read',
    })
    const { access_token, refresh_token } = token.body
    return { client_id, refresh_token: String(refresh_token), token: String(access_token) }
  }

  test('publishes metadata at the path only, and revokes where it issues', async () => {
    const { revocation_endpoint, token_endpoint } = await server.metadata()
    expect(revocation_endpoint).toBe(`${server.origin}/token`)
    expect(token_endpoint).toBe(`${server.origin}/token`)
    const statusOf = async (path: string) => (await fetch(server.origin + path)).status
    expect(await statusOf('/.well-known/oauth-protected-resource/mcp')).toBe(200)
    expect(await statusOf('/.well-known/oauth-protected-resource')).toBe(404)
  })

  test('an old refresh token used late is taken, and kills the newer one', async () => {
    const metadata = await server.metadata()
    const { client_id, refresh_token: first } = await plainSignIn()
    const newer = await refresh(metadata, client_id, first)
    const late = await refresh(metadata, client_id, first)
    expect([newer.status, late.status]).toEqual([200, 200])
    const killed = await refresh(metadata, client_id, newer.body.refresh_token)
    expect(killed.body.error).toBe('invalid_grant')
    expect((await refresh(metadata, client_id, late.body.refresh_token)).status).toBe(200)
  })

  test('a second authorization of the same user and client ends the first', async () => {
    const metadata = await server.metadata()
    const { client_id, refresh_token } = await plainSignIn()
    await signIn(metadata, { client_id, resource: server.url, scope: 'mcp:read' })
    expect((await refresh(metadata, client_id, refresh_token)).body.error).toBe('invalid_grant')
  })

  test('access tokens end when the store forgets them, refresh tokens do not', async () => {
    const { client_id, refresh_token, token } = await plainSignIn()
    const call = () =>
      fetch(server.url, { headers: { authorization: `Bearer ${token}` } }).then(({ status }) => status)
    expect(await call()).toBe(405)
    await server.expireAccessTokens()
    expect(await call()).toBe(401)
    expect((await refresh(await server.metadata(), client_id, refresh_token)).status).toBe(200)
  })
})

describe('a hosted MCP server on Workers', () => {
  test('signs in once, with a client of its own and the scope of the challenge', async () => {
    const bench = await newBench({ person: { user: 'ada' } })
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    expect((await session.callTool('whoami')).content).toEqual(text('ada'))
    expect(bench.browser.opened).toHaveLength(1)
    expect(server.requests.to('/register', 'POST')).toHaveLength(1)
    expect(grantTypes()).toEqual(['authorization_code'])
    expect((await storedLogins(bench.home))[0]?.record).toMatchObject({
      issuer: server.issuer,
      scope: 'mcp:read',
      // `bearer` on the wire, and a token with colons in it.
      access_token: expect.stringMatching(/^ada:[^:]+:[^:]+$/),
      refresh_token: expect.stringMatching(/^ada:/),
    })
  })

  test('renews once when the time of the token is over, for all calls that wait', async () => {
    const clock = createShiftedClock()
    const bench = await newBench({ clock })
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    server.requests.clear()
    await server.expireAccessTokens()
    clock.pass(61_000)
    const calls = await Promise.all(Array.from({ length: 5 }, () => session.callTool('whoami')))
    for (const { content } of calls) expect(content).toEqual(text('alice'))
    expect(grantTypes()).toEqual(['refresh_token'])
    expect(server.requests.to('/mcp').map(({ status }) => status)).not.toContain(401)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('renews once after a 401 with an empty body, and sends the calls again', async () => {
    const bench = await newBench()
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    await server.expireAccessTokens()
    server.requests.clear()
    const calls = await Promise.all(Array.from({ length: 5 }, () => session.callTool('whoami')))
    for (const { content } of calls) expect(content).toEqual(text('alice'))
    expect(grantTypes()).toEqual(['refresh_token'])
  })

  test('survives an answer to a refresh that got lost: the previous refresh token still works', async () => {
    const bench = await newBench()
    const login = { name: 'demo', url: server.url }
    await bench.login(login)
    const [before] = await storedLogins(bench.home)
    await changeStoredLogins(bench.home, expired)
    const { client_id, refresh_token } = before!.record as Record<string, string>
    await refresh(await server.metadata(), client_id!, refresh_token)
    await (await newBench({ home: bench.home })).token(login)
    const [after] = await storedLogins(bench.home)
    expect(after?.record.refresh_token).not.toBe(refresh_token)
    await changeStoredLogins(bench.home, expired)
    const again = await newBench({ home: bench.home })
    const session = await again.client({ demo: { url: server.url } }).createSession('demo')
    expect((await session.callTool('whoami')).content).toEqual(text('alice'))
    expect(again.browser.opened).toEqual([])
  })

  test('asks for the wider scope when a tool needs it', async () => {
    const bench = await newBench()
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    expect((await session.callTool('write')).content).toEqual(text('written'))
    expect(bench.told('authorization_started').map(({ scope }) => scope)).toEqual([
      'mcp:read',
      'mcp:read mcp:write',
    ])
    expect(grantTypes()).toEqual(['authorization_code', 'authorization_code'])
  })

  test('logs out at the token URL, and the grant is gone', async () => {
    const bench = await newBench({ person: { user: 'grace' } })
    const login = { name: 'demo', url: server.url }
    await bench.login(login)
    const [stored] = await storedLogins(bench.home)
    const record = stored!.record as Record<string, string>
    expect(await server.grants('grace')).toBe(1)
    server.requests.clear()
    expect(await bench.latchkey.logout(login)).toBe('revoked')
    expect(tokenRequests()).toContainEqual(
      expect.objectContaining({ token: record.refresh_token, token_type_hint: 'refresh_token' }),
    )
    expect(await server.grants('grace')).toBe(0)
    expect(await storedLogins(bench.home)).toEqual([])
    const late = await refresh(await server.metadata(), record.client_id!, record.refresh_token)
    expect(late.body.error).toBe('invalid_grant')
  })

  test('two accounts of the same person do not knock each other out: each has its own client', async () => {
    const bench = await newBench({ person: { user: 'lin' } })
    const entries = { work: { url: server.url, auth: { account: 'work' } } }
    const home = { url: server.url, auth: { account: 'home' } }
    await bench.login({ name: 'work', ...entries.work })
    await bench.login({ name: 'home', ...home })
    const logins = await storedLogins(bench.home)
    expect(new Set(logins.map(({ record }) => record.client_id)).size).toBe(2)
    expect(await server.grants('lin')).toBe(2)

    await changeStoredLogins(bench.home, expired)
    const client = bench.client({ ...entries, home }, { interactive: 'never' })
    for (const name of ['work', 'home', 'work', 'home']) {
      const session = await client.createSession(name)
      expect((await session.callTool('whoami')).content).toEqual(text('lin'))
      await client.closeSession(name)
    }
    expect(grantTypes().filter((type) => type === 'refresh_token')).toHaveLength(2)
  })
})
