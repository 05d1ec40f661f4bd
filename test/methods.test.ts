import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basicAuth, headers } from '../src/config/custom-auth.ts'
import type { HttpServerConfig } from '../src/config/input.ts'
import type { LatchkeyError } from '../src/errors/index.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type McpServerFixture, startMcpServer, type ToolDefinition } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { createShiftedClock, type ShiftedClock } from './fixtures/shifted-clock.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

let authorizationServer: AuthorizationServer
let server: McpServerFixture
beforeAll(async () => {
  authorizationServer = await startAuthorizationServer()
})
afterAll(() => authorizationServer.close())
beforeEach(async () => {
  server = await startProtectedServer(authorizationServer)
  authorizationServer.requests.clear()
})
afterEach(() => server.close())

describe('a credential of the configuration that the server refuses', () => {
  let bench: Workbench
  beforeEach(async () => {
    bench = await openWorkbench()
  })
  afterEach(() => bench.close())

  const refused: Record<string, Omit<HttpServerConfig, 'url'>> = {
    'a bearer token': { auth: 'expired-long-ago' },
    'an Authorization header, in any case': { headers: { authorization: 'Bearer expired-long-ago' } },
    'basic authentication': { auth: basicAuth('user', 'wrong') },
    'an API key header': { auth: headers({ 'X-API-Key': 'wrong' }) },
    'a signer': { auth: (request: Request) => new Request(request, { headers: { 'x-signature': 'wrong' } }) },
    'no credential by wish': { auth: false },
  }
  test.each(Object.entries(refused))('[APPL-04] %s: said so, no OAuth beside it', async (_title, entry) => {
    const error = await failureOf(bench.client({ demo: { url: server.url, ...entry } }).createSession('demo'))
    expect(error).toMatchObject({ code: 'credential_refused', server: 'demo', status: 401, scheme: 'bearer' })
    expect(error.message).not.toContain('expired-long-ago')
    expect([...new Set(server.requests.lines())]).toEqual(['POST /mcp'])
    expect(authorizationServer.requests).toHaveLength(0)
    expect(bench.browser.opened).toEqual([])
  })

  test('an SSE server that refuses it says so too, although the transport hides errors', async () => {
    const sse = await startMcpServer({ transport: 'sse', protect: { kind: 'bearer', token: 'another' } })
    try {
      const client = bench.client({ demo: { url: sse.url, type: 'sse', auth: 'expired-long-ago' } })
      expect(await failureOf(client.createSession('demo'))).toMatchObject({ code: 'credential_refused' })
      expect(sse.requests.lines()).toEqual(['GET /sse'])
    } finally {
      await sse.close()
    }
  })

  test('[USE-05] a fresh access token that is refused is not asked for again and again', async () => {
    server.protect = { ...server.protect, verify: () => undefined } as typeof server.protect
    const client = bench.client({ demo: { url: server.url } })
    expect(await failureOf(client.createSession('demo'))).toMatchObject({ code: 'credential_refused' })
    expect(await failureOf(client.createSession('demo'))).toMatchObject({ code: 'login_required' })
    expect(bench.browser.opened).toHaveLength(1)
  })
})

describe('who may open a browser', () => {
  let clock: ShiftedClock
  let bench: Workbench
  const open = async (options: Parameters<typeof openWorkbench>[0] = {}) => {
    clock = createShiftedClock()
    bench = await openWorkbench({ clock, ...options })
    return bench
  }
  afterEach(() => bench.close())

  const nobody = { listen: () => Promise.reject(new Error('a listener was bound')) }
  const noBrowser = { open: () => Promise.reject(new Error('a browser was opened')) }
  test.each([
    ['never, even with openUrl', true, { interactive: 'never' as const }],
    ['auto, without openUrl and terminal', false, { openUrl: undefined as never }],
  ])('[OPEN-07] %s: login_required at once, with the command', async (_title, attended, options) => {
    await open({ platform: { attended, userAgent: noBrowser, redirectReceiver: nobody } })
    const entry = { url: server.url, auth: { account: 'at work' } }
    const started = performance.now()
    const error = await failureOf(bench.client({ demo: entry }, options).createSession('demo'))
    expect(error).toMatchObject({
      code: 'login_required',
      name: 'UnauthorizedError',
      remedy: `Run: latchkey login demo --account 'at work'`,
    })
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(bench.exchanges()).toEqual(['mcp POST /mcp 401'])
    expect(bench.browser.opened).toEqual([])
  })

  test('the authorized fetch never does, whoever is at the terminal', async () => {
    await open({ platform: { attended: true, redirectReceiver: nobody } })
    const fetch = bench.latchkey.authorizedFetch(
      { name: 'demo', url: server.url },
      { openUrl: bench.browser.open, interactive: 'always' },
    )
    expect(await failureOf(fetch(server.url, { method: 'POST', body: '{}' }))).toMatchObject({
      code: 'login_required',
    })
    expect(bench.browser.opened).toEqual([])
  })

  test('twenty calls that meet 401 at the same time open one', async () => {
    await open()
    const client = bench.client({ demo: { url: server.url, auth: { offline_access: false } } })
    const session = await client.createSession('demo')
    authorizationServer.expireAccessTokens()
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) => session.callTool('echo', { text: String(index) })),
    )
    expect(results.map(({ content }) => (content[0] as { text: string }).text)).toEqual(
      Array.from({ length: 20 }, (_, index) => String(index)),
    )
    expect(bench.browser.opened).toHaveLength(2)
    expect(server.toolCalls).toHaveLength(20)
  })

  test('[USE-07] a late 401 of a request from before the sign-in does not open another', async () => {
    await open()
    const client = bench.client({ demo: { url: server.url, auth: { offline_access: false } } })
    const session = await client.createSession('demo')
    authorizationServer.expireAccessTokens()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let isFirst = true
    server.intercept = async () => {
      if (!isFirst) return undefined
      isFirst = false
      await held
      return { status: 401 }
    }
    const late = session.callTool('echo', { text: 'late' })
    await expect.poll(() => isFirst).toBe(false)
    await session.callTool('echo', { text: 'quick' })
    release()
    await late
    expect(bench.browser.opened).toHaveLength(2)
    expect(server.toolCalls.map(({ args }) => args.text)).toEqual(['quick', 'late'])
  })

  test('after a sign-in that was refused, none for 60 s, except by login', async () => {
    await open({ person: { decision: 'deny' } })
    const client = bench.client({ demo: { url: server.url } })
    expect(await failureOf(client.createSession('demo'))).toMatchObject({
      code: 'authorization_refused',
      error: 'access_denied',
    })
    clock.pass(59_000)
    expect(await failureOf(client.createSession('demo'))).toMatchObject({
      code: 'login_required',
      message: expect.stringContaining('failed less than a minute ago'),
    })
    expect(bench.browser.opened).toHaveLength(1)
    await failureOf(bench.login({ name: 'demo', url: server.url }))
    expect(bench.browser.opened).toHaveLength(2)
    clock.pass(60_000)
    expect(await failureOf(client.createSession('demo'))).toMatchObject({ code: 'authorization_refused' })
    expect(bench.browser.opened).toHaveLength(3)
  })

  test('cancelled by options.signal: says so, and the port is free again', async () => {
    const port = await freePort()
    await open()
    const opened: string[] = []
    const openUrl = (url: string) => void opened.push(url)
    const abort = new AbortController()
    const client = bench.client(
      { demo: { url: server.url, auth: { callback_port: port } } },
      { openUrl, signal: abort.signal },
    )
    const outcome = failureOf(client.createSession('demo'))
    await expect.poll(() => opened.length).toBe(1)
    abort.abort()
    expect(await outcome).toMatchObject({ code: 'sign_in_cancelled', server: 'demo' })
    await expect.poll(() => isFree(port)).toBe(true)
    expect(bench.told('signed_in')).toEqual([])
  })

  test('closing all sessions gives up the sign-in of one that is being opened', async () => {
    await open()
    const opened: string[] = []
    const client = bench.client({ demo: { url: server.url } }, { openUrl: (url) => void opened.push(url) })
    const outcome = failureOf(client.createSession('demo'))
    await expect.poll(() => opened.length).toBe(1)
    await client.closeAllSessions()
    expect(await outcome).toMatchObject({ code: 'sign_in_cancelled' })
    expect(client.getSession('demo')).toBeUndefined()
  })
})

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  const free = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => resolve(true))
  })
  if (free) await new Promise((resolve) => probe.close(resolve))
  return free
}

describe('Streamable HTTP first', () => {
  let bench: Workbench
  beforeEach(async () => {
    bench = await openWorkbench()
  })
  afterEach(() => bench.close())

  test.each([400, 404, 405])('HTTP %i to the POST: tries SSE', async (status) => {
    const sse = await startMcpServer({ transport: 'sse' })
    try {
      sse.intercept = ({ method, pathname }) =>
        method === 'POST' && pathname === '/sse' ? { status, body: 'no' } : undefined
      const session = await bench.client({ demo: { url: sse.url, auth: false } }).createSession('demo')
      expect(session.transport).toBe('sse')
      expect((await session.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'whoami'])
    } finally {
      await sse.close()
    }
  })

  test.each([
    [401, 'credential_refused'],
    [403, 'connect_failed'],
    [500, 'connect_failed'],
    [503, 'connect_failed'],
  ])('HTTP %i to the POST: no SSE, %s', async (status, code) => {
    const sse = await startMcpServer({ transport: 'sse', intercept: () => ({ status, body: 'no' }) })
    try {
      const client = bench.client({ demo: { url: sse.url, auth: false } })
      expect(await failureOf(client.createSession('demo'))).toMatchObject({ code })
      expect(sse.requests.map(({ method }) => method)).not.toContain('GET')
    } finally {
      await sse.close()
    }
  })

  test('a server that refuses both is quoted on both: the first answer is the one that tells why', async () => {
    const api = await startMcpServer({
      intercept: ({ method }) =>
        method === 'POST' ? { status: 400, body: 'Missing X-Team' } : { status: 405 },
    })
    try {
      const client = bench.client({ demo: { url: api.url, auth: false } })
      const { code, message } = await failureOf<LatchkeyError>(client.createSession('demo'))
      expect(code).toBe('connect_failed')
      expect(message).toMatch(/by Streamable HTTP ".*Missing X-Team.*", by SSE ".*405.*"/)
    } finally {
      await api.close()
    }
  })

  test('a type in the config is kept to', async () => {
    const sse = await startMcpServer({ transport: 'sse' })
    try {
      const client = bench.client({ demo: { url: sse.url, type: 'streamable-http', auth: false } })
      expect(await failureOf(client.createSession('demo'))).toMatchObject({ code: 'connect_failed' })
      expect(sse.requests.map(({ method }) => method)).not.toContain('GET')
    } finally {
      await sse.close()
    }
  })
})

test('what a program needs before it is started (its envFile, by a pipe) has no more time than the rest of connecting', async () => {
  const slow = await openWorkbench({ platform: { stdioTransport: () => new Promise(() => {}) } })
  try {
    const client = slow.client({ files: { command: 'never-started', timeout: 200 } })
    expect(await failureOf(client.createSession('files'))).toMatchObject({
      code: 'connect_failed',
      message: expect.stringContaining('no answer within 0.4 s'),
    })
  } finally {
    await slow.close()
  }
})

describe('what a server asks of the program', () => {
  const ask: ToolDefinition = {
    name: 'ask',
    call: async (_args, { mcpReq }) => {
      const requestedSchema = { type: 'object' as const, properties: { colour: { type: 'string' as const } } }
      const elicited = await mcpReq.elicitInput({ message: 'Which colour?', requestedSchema })
      const sampled = await mcpReq.requestSampling({ messages: [], maxTokens: 5 })
      const { roots } = (await mcpReq.send({ method: 'roots/list' })) as { roots: { uri: string }[] }
      return JSON.stringify([elicited.content, sampled.model, roots])
    },
  }

  test('elicitation, sampling and roots reach its handlers, also after a sign-in', async () => {
    const asking = await startProtectedServer(authorizationServer, { era: '2025', tools: [ask] })
    const bench = await openWorkbench()
    try {
      const client = bench.client(
        { demo: { url: asking.url } },
        {
          onElicitation: ({ message }) => ({ action: 'accept', content: { colour: `${message} Green.` } }),
          onSampling: () => ({ model: 'a model', role: 'assistant', content: { type: 'text', text: '' } }),
          roots: [{ uri: 'file:///home/alice' }],
        },
      )
      const session = await client.createSession('demo')
      expect(session.client).toBeInstanceOf(Client)
      const { content } = await session.callTool('ask')
      expect(JSON.parse((content[0] as { text: string }).text)).toEqual([
        { colour: 'Which colour? Green.' },
        'a model',
        [{ uri: 'file:///home/alice' }],
      ])
    } finally {
      await bench.close()
      await asking.close()
    }
  })
})

describe('closing and giving up', () => {
  let bench: Workbench
  let hanging: McpServerFixture
  beforeEach(async () => {
    bench = await openWorkbench()
    hanging = await startMcpServer({ era: '2025' })
  })
  afterEach(async () => {
    await bench.close()
    await hanging.close()
  })

  test('ends a 2025 session at the server', async () => {
    const client = bench.client({ demo: { url: hanging.url, auth: false } })
    await client.createSession('demo')
    await client.closeAllSessions()
    expect(hanging.requests.to('/mcp', 'DELETE').map(({ status }) => status)).toEqual([200])
  })

  test('a server that does not answer the farewell is not waited for', async () => {
    const client = bench.client({ demo: { url: hanging.url, auth: false } })
    await client.createSession('demo')
    hanging.intercept = ({ method }) => (method === 'DELETE' ? { hang: true } : undefined)
    const started = performance.now()
    await client.closeAllSessions()
    expect(performance.now() - started).toBeLessThan(3_000)
    expect(hanging.requests.to('/mcp', 'DELETE')).toHaveLength(1)
  })

  test('options.signal ends a connection that is being opened, and a call that waits for its answer', async () => {
    const abort = new AbortController()
    const client = bench.client(
      { demo: { url: hanging.url, auth: false }, silent: { url: hanging.url, auth: false } },
      { signal: abort.signal },
    )
    const session = await client.createSession('demo')
    hanging.intercept = () => ({ hang: true })
    const failures = [failureOf(session.callTool('whoami')), failureOf(client.createSession('silent'))]
    const unanswered = () => hanging.requests.filter(({ status }) => status === undefined)
    for (const method of ['tools/call', 'server/discover']) {
      await expect.poll(() => unanswered().some(({ body }) => body.includes(method))).toBe(true)
    }
    abort.abort()
    const [called, opened] = await Promise.all(failures)
    expect(called).toMatchObject({ code: 'CONNECTION_CLOSED' })
    expect(opened).toMatchObject({ name: 'AbortError' })
    expect(client.getSession('demo')).toBeUndefined()
  })

  test('a program that says nothing does not hold up closeAllSessions()', async () => {
    const marker = join(bench.home, 'started')
    const args = ['-e', 'fs.writeFileSync(process.argv[1], ""); setTimeout(() => {}, 3_000)', marker]
    const client = bench.client({ mute: { command: process.execPath, args, timeout: 3_000 } })
    const opening = failureOf(client.createSession('mute'))
    await expect.poll(() => existsSync(marker)).toBe(true)
    const started = performance.now()
    await client.closeAllSessions()
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(await opening).toMatchObject({ name: 'AbortError' })
  })
})
