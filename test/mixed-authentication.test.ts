import { describe, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { Era, McpServerFixture, McpServerOptions } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const opened = closedAfterEach()

interface Scene {
  authorizationServer: AuthorizationServer
  server: McpServerFixture
  bench: Workbench
}

/** Public: the handshake, the list, `echo`. With a login: everything, and one tool more in the list. */
async function scene(era: Era, options: McpServerOptions = {}): Promise<Scene> {
  const authorizationServer = await startAuthorizationServer({ offlineAccess: false })
  const server = await startProtectedServer(authorizationServer, {
    era,
    tools: [{ name: 'secret', signedInOnly: true, call: () => 'for members' }],
    protection: {
      publicMethods: ['initialize', 'notifications/initialized', 'server/discover', 'tools/list'],
      publicTools: ['echo'],
    },
    ...options,
  })
  const bench = await openWorkbench()
  opened.push(authorizationServer, server, bench)
  return { authorizationServer, server, bench }
}

const open = ({ bench, server }: Scene, options = {}) =>
  bench.client({ demo: { url: server.url } }, options).createSession('demo')

const namesOf = ({ tools }: { tools: { name: string }[] }) => tools.map(({ name }) => name)
const text = (answer: string) => ({ content: [{ type: 'text', text: answer }] })

/** Requests that carried this method, as the statuses they were answered with. */
const statuses = ({ server }: Scene, method: string) =>
  server.requests.filter(({ body }) => body.includes(`"method":"${method}"`)).map(({ status }) => status)

describe.each(['2025', '2026'] as const)('a %s server that is public in part', (era) => {
  test('[APPL-01] [MCP-04] is used anonymously, without a browser and without discovery', async () => {
    const all = await scene(era)
    const session = await open(all)
    expect(session.authorization).toBe('anonymous')
    expect(namesOf(await session.listTools())).toEqual(['echo', 'whoami'])
    expect(await session.callTool('echo', { text: 'hello' })).toMatchObject(text('hello'))
    expect(session.authorization).toBe('anonymous')
    expect(all.bench.browser.opened).toEqual([])
    expect(all.authorizationServer.requests).toEqual([])
    expect(all.bench.told('authorization_changed')).toEqual([])
  })

  test('[USE-07] a 401 on a call: one sign-in, the same call once more, the list anew', async () => {
    const all = await scene(era)
    const session = await open(all)
    await session.listTools()
    expect(await session.callTool('whoami')).toMatchObject(text('alice'))
    expect(statuses(all, 'tools/call')).toEqual([401, 200])
    expect(all.server.toolCalls).toMatchObject([
      { name: 'whoami', authorization: expect.stringMatching(/^Bearer /) },
    ])
    expect(all.bench.browser.opened).toHaveLength(1)
    expect(session.authorization).toBe('signed_in')
    expect(namesOf(await session.listTools())).toEqual(['echo', 'whoami', 'secret'])
    expect(all.bench.told('authorization_changed')).toEqual([
      expect.objectContaining({ server: 'demo', authorization: 'signed_in' }),
    ])
  })

  test('[MCP-04] calls that meet the 401 together share the sign-in, and each is made again once', async () => {
    const all = await scene(era)
    const session = await open(all)
    const answers = await Promise.all([
      session.callTool('whoami'),
      session.callTool('secret'),
      session.callTool('echo', { text: 'public' }),
    ])
    expect(answers).toMatchObject([text('alice'), text('for members'), text('public')])
    expect(all.bench.browser.opened).toHaveLength(1)
    expect(all.server.toolCalls.map(({ name }) => name).sort()).toEqual(['echo', 'secret', 'whoami'])
  })

  test('where nobody may be asked the call fails and the session stays, anonymous', async () => {
    const all = await scene(era)
    const session = await open(all, { interactive: 'never' })
    expect(await failureOf(session.callTool('whoami'))).toMatchObject({ code: 'login_required' })
    expect(session.authorization).toBe('anonymous')
    expect(await session.callTool('echo', { text: 'still' })).toMatchObject(text('still'))
  })

  test('a login that ends makes the session anonymous, and the program hears of it', async () => {
    const all = await scene(era)
    const session = await open(all)
    await session.callTool('whoami')
    await all.bench.latchkey.logout(
      { name: 'demo', url: all.server.url },
      { openUrl: all.bench.browser.open },
    )
    all.authorizationServer.expireAccessTokens()
    await failureOf(session.client.listTools())
    expect(namesOf(await session.listTools())).toEqual(['echo', 'whoami'])
    expect(session.authorization).toBe('anonymous')
    expect(all.bench.told('authorization_changed').map(({ authorization }) => authorization)).toEqual([
      'signed_in',
      'anonymous',
    ])
  })

  test('with a stored login the session is signed in from the start', async () => {
    const all = await scene(era)
    await all.bench.login({ name: 'demo', url: all.server.url })
    const session = await open(all)
    expect(session.authorization).toBe('signed_in')
    expect(namesOf(await session.listTools())).toEqual(['echo', 'whoami', 'secret'])
    expect(all.bench.browser.opened).toHaveLength(1)
  })
})

describe('a list that the server allows to be kept', () => {
  test('[MCP-03] is served again, but never after the sign-in', async () => {
    const all = await scene('2026', { listedFor: 3_600_000 })
    const session = await open(all)
    await session.listTools()
    await session.listTools()
    expect(statuses(all, 'tools/list')).toEqual([200])
    await session.callTool('whoami')
    // The SDK's client, which keeps the lists, is asked past the session.
    expect(namesOf(await session.client.listTools())).toEqual(['echo', 'whoami', 'secret'])
    await session.listTools()
    expect(statuses(all, 'tools/list')).toEqual([200, 200])
  })

  test('[MCP-03] is not kept when it was asked for before the sign-in and comes after it', async () => {
    const all = await scene('2026', { listedFor: 3_600_000 })
    const session = await open(all)
    let release: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    all.server.intercept = async ({ body, headers }) => {
      if (!body.includes('"tools/list"') || headers.authorization) return undefined
      await held
      return undefined
    }
    const early = session.listTools()
    await session.callTool('whoami')
    release()
    expect(namesOf(await early)).toEqual(['echo', 'whoami'])
    expect(session.authorization).toBe('signed_in')
    expect(namesOf(await session.listTools())).toEqual(['echo', 'whoami', 'secret'])
  })
})

test('a server that asks before it answers anything was never anonymous: nothing changed', async () => {
  const all = await scene('both', { protection: {} } as McpServerOptions)
  const session = await open(all)
  await session.listTools()
  expect(session.authorization).toBe('signed_in')
  expect(all.bench.told('authorization_changed')).toEqual([])
})

test.each([
  ['static', { kind: 'bearer', token: 'abc' }, 'abc'],
  ['none', { kind: 'none' }, false],
] as const)('a session says %s where OAuth has no part in it', async (authorization, protect, auth) => {
  const all = await scene('both')
  all.server.protect = protect
  const client = all.bench.client({ demo: { url: all.server.url, auth } })
  expect((await client.createSession('demo')).authorization).toBe(authorization)
})
