import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basicAuth } from '../src/config/custom-auth.ts'
import type { McpServersConfig } from '../src/config/input.ts'
import type { Session } from '../src/mcp/session.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const stdioServer = new URL('./fixtures/stdio-server.mjs', import.meta.url).pathname

async function said(session: Session | undefined, tool = 'whoami', args = {}): Promise<unknown> {
  const { content } = (await session?.callTool(tool, args)) ?? {}
  return content?.map((part) => (part.type === 'text' ? part.text : part.type)).join('')
}

describe('one config with every method', () => {
  let authorizationServer: AuthorizationServer
  let manual: AuthorizationServer
  let servers: Record<'dcr' | 'registered' | 'explicit' | 'bearer' | 'basic' | 'open', McpServerFixture>
  let config: McpServersConfig['mcpServers']
  let bench: Workbench

  beforeAll(async () => {
    const ports = [await freePort(), await freePort()]
    const redirect_uris = ports.map((port) => `http://localhost:${port}/callback`)
    authorizationServer = await startAuthorizationServer()
    manual = await startAuthorizationServer({
      registration: false,
      clients: [
        { client_id: 'by-hand', client_secret: 'a secret/with: odd~characters', redirect_uris },
        { client_id: 'vouched-for', redirect_uris },
      ],
    })
    servers = {
      dcr: await startProtectedServer(authorizationServer),
      registered: await startProtectedServer(manual),
      explicit: await startProtectedServer(manual, { protection: { resourceMetadata: 'none' } }),
      bearer: await startMcpServer({ protect: { kind: 'bearer', token: 'a-static-token' } }),
      basic: await startMcpServer({ protect: { kind: 'basic', user: 'ünal', password: 'päss:word' } }),
      open: await startMcpServer(),
    }
    const { issuer, authorization_endpoint, token_endpoint } = (await manual.metadata()) as Record<
      'issuer' | 'authorization_endpoint' | 'token_endpoint',
      string
    >
    config = {
      dcr: { url: servers.dcr.url },
      registered: {
        url: servers.registered.url,
        auth: {
          client_id: 'by-hand',
          client_secret: 'a secret/with: odd~characters',
          callback_port: ports[0]!,
        },
      },
      explicit: {
        url: servers.explicit.url,
        auth: {
          client_id: 'vouched-for',
          callback_port: ports[1]!,
          oauth_provider: { id: 'manual', metadata: { issuer, authorization_endpoint, token_endpoint } },
        },
      },
      bearer: { url: servers.bearer.url, auth: 'a-static-token' },
      basic: { url: servers.basic.url, auth: basicAuth('ünal', 'päss:word') },
      open: { url: servers.open.url, auth: false },
      files: { command: process.execPath, args: [stdioServer], env: { LANTERN: 'lit' } },
      broken: { url: `http://127.0.0.1:${await freePort()}/mcp` },
    }
  })
  afterAll(async () => {
    await Promise.all([...Object.values(servers), authorizationServer, manual].map((each) => each.close()))
  })

  beforeEach(async () => {
    bench = await openWorkbench()
    for (const { requests } of [...Object.values(servers), authorizationServer, manual]) requests.clear()
  })
  afterEach(() => bench.close())

  test('seven servers connect with one createAllSessions(), the eighth reports its own error', async () => {
    const client = bench.client(config)
    const { sessions, errors } = await client.createAllSessions()

    expect(Object.keys(sessions)).toEqual([
      'dcr',
      'registered',
      'explicit',
      'bearer',
      'basic',
      'open',
      'files',
    ])
    expect(Object.entries(errors)).toMatchObject([['broken', { code: 'network_failed' }]])
    for (const name of ['dcr', 'registered', 'explicit']) expect(await said(sessions[name])).toBe('alice')
    expect(await said(sessions.bearer)).toBe('bearer')
    expect(await said(sessions.basic)).toBe('ünal')
    expect(await said(sessions.open)).toBe('anonymous')
    expect(await said(sessions.files, 'env', { name: 'LANTERN' })).toBe('lit')

    expect(bench.browser.opened).toHaveLength(3)
    expect(authorizationServer.requests.to('/reg')).toHaveLength(1)
    expect(manual.requests.to('/reg')).toHaveLength(0)
    expect(manual.requests.to('/token', 'POST')).toHaveLength(2)
    expect(bench.told('credentials_saved')).toHaveLength(3)
    expect(servers.explicit.requests.lines().filter((line) => line.includes('well-known'))).toEqual([])
    expect(client.getSession('dcr')).toBe(sessions.dcr)
    expect(client.getSession('broken')).toBeUndefined()
  })

  test.each([
    ['dcr', 1, 'alice'],
    ['registered', 1, 'alice'],
    ['explicit', 1, 'alice'],
    ['bearer', 0, 'bearer'],
    ['basic', 0, 'ünal'],
    ['open', 0, 'anonymous'],
  ] as const)('%s connects alone, with %i sign-ins', async (name, opened, subject) => {
    const session = await bench.client({ [name]: config[name]! }).createSession(name)
    expect(await said(session)).toBe(subject)
    expect(bench.browser.opened).toHaveLength(opened)
  })

  test('[APPL-02] a program connects alone, with its environment', async () => {
    const session = await bench.client({ files: config.files! }).createSession('files')
    expect(session.transport).toBe('stdio')
    expect(await said(session, 'env', { name: 'LANTERN' })).toBe('lit')
    expect(session.authorization).toBe('none')
    expect(bench.browser.opened).toEqual([])
  })

  test('servers that need nobody are connected while the person is still busy', async () => {
    const slow = await openWorkbench({ person: { delay: 400 } })
    try {
      await slow.client({ dcr: config.dcr!, bearer: config.bearer!, open: config.open! }).createAllSessions()
      const order = slow.events.flatMap((event) =>
        event.type === 'connected' || event.type === 'signed_in' ? [`${event.type} ${event.server}`] : [],
      )
      expect(order.slice(0, 2).sort()).toEqual(['connected bearer', 'connected open'])
      expect(order.slice(2)).toEqual(['signed_in dcr', 'connected dcr'])
    } finally {
      await slow.close()
    }
  })

  test('two names for one server: whoever signed in first did it for both', async () => {
    const [slow, fast] = [servers.registered, config.dcr!]
    slow.intercept = async () => {
      await sleep(500)
      return undefined
    }
    const client = bench.client({ first: fast, slow: { url: slow.url, auth: false }, second: fast })
    const { sessions, errors } = await client.createAllSessions()
    slow.intercept = undefined
    expect(Object.keys(sessions)).toEqual(['first', 'second'])
    expect(errors).toMatchObject({ slow: { code: 'credential_refused' } })
    expect(bench.told('signed_in')).toMatchObject([{ server: 'first' }])
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a session that is open is given again, also to those who ask at the same time', async () => {
    const client = bench.client(config)
    const [first, second] = await Promise.all([client.createSession('dcr'), client.createSession('dcr')])
    expect(second).toBe(first)
    expect(await client.createSession('dcr')).toBe(first)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a session that was closed is opened anew, without the person', async () => {
    const client = bench.client(config)
    const first = await client.createSession('dcr')
    await client.closeSession('dcr')
    expect(client.getSession('dcr')).toBeUndefined()
    expect(await failureOf(first.callTool('whoami'))).toMatchObject({ code: 'connect_failed' })

    const second = await client.createSession('dcr')
    expect(second).not.toBe(first)
    expect(await said(second)).toBe('alice')
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('a program that ended is started again by createSession()', async () => {
    const client = bench.client({ files: config.files! })
    const first = await client.createSession('files')
    process.kill((first.client.transport as unknown as { pid: number }).pid)
    await expect.poll(() => client.getSession('files')).toBeUndefined()

    const error = await failureOf(first.callTool('echo', { text: 'there?' }))
    expect(error).toMatchObject({
      code: 'connect_failed',
      remedy: expect.stringContaining('createSession("files")'),
    })
    expect(await said(await client.createSession('files'), 'echo', { text: 'there?' })).toBe('there?')
  })

  test('a name that is not in the config is an error that names the others', async () => {
    const error = await failureOf(bench.client({ open: config.open! }).createSession('opem'))
    expect(error).toMatchObject({ code: 'server_unknown', known: ['open'] })
  })
})

describe('two pre-registered servers on one callback port', () => {
  test('sign in one after the other in config order, although the second server answered first', async () => {
    const port = await freePort()
    const redirect_uris = [`http://localhost:${port}/callback`]
    const clients = ['one', 'two'].map((client_id) => ({ client_id, client_secret: 'shh', redirect_uris }))
    const authorizationServer = await startAuthorizationServer({ clients })
    const servers = [
      await startProtectedServer(authorizationServer),
      await startProtectedServer(authorizationServer),
    ]
    const bench = await openWorkbench({ person: { delay: 100 } })
    let late = false
    servers[0]!.intercept = async () => {
      if (!late) await sleep(300)
      late = true
      return undefined
    }
    try {
      const auth = (client_id: string) => ({ client_id, client_secret: 'shh', callback_port: port })
      const client = bench.client({
        one: { url: servers[0]!.url, auth: auth('one') },
        two: { url: servers[1]!.url, auth: auth('two') },
      })
      const { sessions, errors } = await client.createAllSessions()

      expect(errors).toEqual({})
      expect(await said(sessions.one)).toBe('alice')
      expect(await said(sessions.two)).toBe('alice')
      const told = bench.events.flatMap((event) => {
        const counts = ['challenge_received', 'authorization_started', 'signed_in'].includes(event.type)
        return counts ? [`${event.type} ${event.server}`] : []
      })
      expect(told).toEqual([
        'challenge_received two',
        'challenge_received one',
        'authorization_started one',
        'signed_in one',
        'authorization_started two',
        'signed_in two',
      ])
      expect(bench.told('sign_in_queued')).toMatchObject([{ server: 'two', ahead: 1 }])
      expect(bench.browser.opened).toHaveLength(2)
      // The second tab was not opened before the first one had its answer.
      const firstToken = authorizationServer.requests.findIndex(({ pathname }) => pathname === '/token')
      const secondTab = authorizationServer.requests.findLastIndex(({ pathname }) => pathname === '/auth')
      expect(firstToken).toBeLessThan(secondTab)
      for (const { redirect_uri } of bench.told('authorization_started')) {
        expect(redirect_uri).toBe(redirect_uris[0])
      }
    } finally {
      await bench.close()
      await Promise.all([...servers, authorizationServer].map((each) => each.close()))
    }
  })
})
