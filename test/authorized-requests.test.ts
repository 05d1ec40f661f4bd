import { describe, expect, test } from 'vitest'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { McpServerOptions } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import type { RecordedRequest } from './fixtures/request-log.ts'
import { startScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type WorkbenchOptions } from './fixtures/workbench.ts'

// What an MCP server gets to see of a login: every request of every kind, at every revision.

const opened = closedAfterEach()

async function scene(options: McpServerOptions = {}, workbench: WorkbenchOptions = {}) {
  const authorizationServer = await startAuthorizationServer()
  const server = await startProtectedServer(authorizationServer, options)
  const bench = await openWorkbench(workbench)
  opened.push(bench, server, authorizationServer)
  return { authorizationServer, server, bench }
}

type Message = { method?: string; params?: { name?: string; _meta?: Record<string, unknown> } }
const messageOf = ({ body }: RecordedRequest): Message => (body ? JSON.parse(body) : {})

describe.each<[string, McpServerOptions, string[]]>([
  ['a 2025 session', { era: '2025' }, ['DELETE', 'GET', 'POST']],
  ['a 2026-07-28 session', { era: '2026' }, ['POST']],
  ['an SSE session', { transport: 'sse' }, ['GET', 'POST']],
])('%s', (_title, options, methods) => {
  test('[USE-01] [USE-02] sends the token with every request after the sign-in, in the header and in no URL', async () => {
    const { server, bench } = await scene(options)
    const demo = { name: 'demo', url: server.url }
    await bench.login(demo)
    server.requests.clear()
    const client = bench.client({ demo: { url: server.url } })
    await (await client.createSession('demo')).callTool('whoami')
    // The event stream of a 2025 session is asked for on the side.
    if (methods.includes('GET'))
      await expect.poll(() => server.requests.map((r) => r.method)).toContain('GET')
    await client.closeAllSessions()
    expect([...new Set(server.requests.map(({ method }) => method))].sort()).toEqual(methods)
    const token = await bench.token(demo)
    expect(new Set(server.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set([`Bearer ${token}`]),
    )
    expect(server.requests.filter(({ path }) => path.includes(token))).toEqual([])
    expect(server.requests.filter(({ query }) => query.has('access_token'))).toEqual([])
  })
})

test('[MCP-01] 2026-07-28: each request names version, method and tool in headers, and says the same in `_meta`', async () => {
  const { server, bench } = await scene({ era: '2026' })
  const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
  await session.callTool('whoami')
  const sent = server.requests.to('/mcp', 'POST')
  // The one that met the 401 as well.
  expect(sent[0]!.status).toBe(401)
  for (const request of sent) {
    const { method, params } = messageOf(request)
    expect(request.headers).toMatchObject({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': method })
    expect(params?._meta).toMatchObject({
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': expect.any(Object),
    })
  }
  const call = sent.find((request) => messageOf(request).method === 'tools/call')
  expect(call?.headers['mcp-name']).toBe('whoami')
})

describe('a server that speaks only', () => {
  /** Answers by hand, as no server of today's SDK speaks one old version alone. */
  async function oldServer(protocolVersion: string, resourceMetadata: 'path' | 'header' | 'none') {
    const server = await startScriptedAuthorizationServer({ mcp: { resourceMetadata } })
    opened.push(server)
    server.scripts.mcp = (request, { status }) => {
      if (status === 401) return undefined
      if (request.method !== 'POST') return { status: 405 }
      const { id, method, params } = JSON.parse(request.body) as Message & { id?: number }
      if (method === 'server/discover') {
        return { body: { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } } }
      }
      if (id === undefined) return { status: 202 }
      const serverInfo = { name: 'old', version: '1' }
      const result =
        method === 'initialize'
          ? { protocolVersion, capabilities: { tools: {} }, serverInfo }
          : { content: [{ type: 'text', text: `${params?.name} done` }] }
      return { body: { jsonrpc: '2.0', id, result } }
    }
    return server
  }

  test.each([
    ['2025-03-26', 'none', 'origin metadata'],
    ['2025-06-18', 'header', 'resource metadata'],
    ['2025-06-18', 'path', 'resource metadata'],
    ['2025-11-25', 'header', 'resource metadata'],
  ] as const)(
    '[DISC-10] %s (resource metadata: %s): the sign-in is the same',
    async (version, at, source) => {
      const server = await oldServer(version, at)
      const bench = await openWorkbench()
      opened.push(bench)
      const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
      expect((await session.callTool('work')).content).toEqual([{ type: 'text', text: 'work done' }])
      expect(session.protocolVersion).toBe(version)
      expect(bench.told('server_metadata_found')).toMatchObject([{ source }])
      const [authorization] = server.requests.to('/authorize')
      expect(authorization?.query.get('code_challenge_method')).toBe('S256')
      expect(authorization?.query.get('resource')).toBe(server.url)
      const call = server.requests.to('/mcp').find((request) => messageOf(request).method === 'tools/call')
      expect(call?.headers.authorization).toMatch(/^Bearer ./)
      expect(call?.headers['mcp-protocol-version']).toBe(version)
    },
  )
})

test.each([
  ['403 without a word of scope', 403, 'Bearer error="invalid_token"'],
  ['403 without a challenge', 403, undefined],
  ['400', 400, 'Bearer error="invalid_request"'],
])('[USE-06] %s is no reason to renew or to sign in', async (_title, status, challenge) => {
  const { authorizationServer, server, bench } = await scene()
  const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
  authorizationServer.requests.clear()
  server.requests.clear()
  server.intercept = ({ body }) =>
    body.includes('"tools/call"')
      ? { status, body: 'no', headers: challenge ? { 'www-authenticate': challenge } : {} }
      : undefined
  await failureOf(session.callTool('whoami'))
  expect(server.requests.lines()).toEqual(['POST /mcp'])
  expect(authorizationServer.requests).toEqual([])
  expect(bench.browser.opened).toHaveLength(1)
})

test('[USE-03] two servers of one authorization server get two tokens, and neither sees the one of the other', async () => {
  const authorizationServer = await startAuthorizationServer()
  const servers = [
    await startProtectedServer(authorizationServer),
    await startProtectedServer(authorizationServer),
  ]
  const bench = await openWorkbench()
  opened.push(bench, ...servers, authorizationServer)
  const seen = []
  for (const { url, requests } of servers) {
    await (await bench.client({ demo: { url } }).createSession('demo')).callTool('whoami')
    await changeStoredLogins(bench.home, expired)
    await (await bench.client({ demo: { url } }).createSession('demo')).callTool('whoami')
    seen.push(new Set(requests.flatMap(({ headers }) => headers.authorization ?? [])))
  }
  expect(seen.map(({ size }) => size)).toEqual([2, 2])
  expect(new Set(seen.flatMap((tokens) => [...tokens])).size).toBe(4)
})

test('[NET-06] every request of a whole login goes through the `fetch` of the program, which may have an egress proxy or pinned addresses', async () => {
  const asked: string[] = []
  const through: typeof fetch = (input, init) => {
    asked.push(new URL(input instanceof Request ? input.url : String(input)).pathname)
    return fetch(input, init)
  }
  const { authorizationServer, server, bench } = await scene({}, { options: { fetch: through } })
  const fromBrowser = (requests: readonly RecordedRequest[]) =>
    requests.filter(({ headers }) => headers['user-agent'] === 'consent-browser').length
  const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
  await session.callTool('whoami')
  authorizationServer.expireAccessTokens()
  await session.callTool('whoami')
  await bench.latchkey.logout({ url: server.url }, { fetch: through })
  const { requests } = authorizationServer
  const got = server.requests.length + requests.length - fromBrowser(requests)
  expect(asked).toHaveLength(got)
  expect(asked).toEqual(expect.arrayContaining(['/mcp', '/reg', '/token', '/token/revocation']))
})

test('[NET-05] metadata that redirects to an address of its own choice is judged like the address itself', async () => {
  // The remote server is played by a caller's own fetch: a test cannot have a public address.
  const asked: string[] = []
  const remote: typeof fetch = async (input) => {
    const url = String(input instanceof Request ? input.url : input)
    asked.push(url)
    return url === 'https://mcp.example/mcp'
      ? new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
      : Response.redirect('https://169.254.169.254/latest/meta-data', 302)
  }
  const bench = await openWorkbench({ options: { fetch: remote } })
  opened.push(bench)
  const failure = await failureOf(bench.login({ url: 'https://mcp.example/mcp' }))
  expect(failure).toMatchObject({ code: 'url_refused' })
  expect(asked.filter((url) => !url.startsWith('https://mcp.example/'))).toEqual([])
})

test('[NET-10] an authorization server of the configuration may be in a private network: no server named it', async () => {
  const asked: string[] = []
  const remote: typeof fetch = async (input) => {
    asked.push(String(input instanceof Request ? input.url : input))
    return new Response(null, { status: 403 })
  }
  const bench = await openWorkbench({ options: { fetch: remote } })
  opened.push(bench)
  const at = 'https://10.0.0.7'
  const metadata = {
    issuer: at,
    authorization_endpoint: `${at}/authorize`,
    token_endpoint: `${at}/token`,
    registration_endpoint: `${at}/register`,
  }
  const auth = { oauth_provider: { metadata } }
  expect(await failureOf(bench.login({ url: 'https://mcp.example/mcp', auth }))).toMatchObject({
    code: 'registration_refused',
  })
  expect(asked).toEqual([`${at}/register`])
})
