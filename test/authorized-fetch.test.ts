import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basicAuth, headers } from '../src/config/custom-auth.ts'
import type { Fetch } from '../src/ports.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type LoopbackServer, startLoopbackServer } from './fixtures/loopback-server.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

let authorizationServer: AuthorizationServer
let bench: Workbench
beforeAll(async () => {
  authorizationServer = await startAuthorizationServer()
})
afterAll(() => authorizationServer.close())
beforeEach(async () => {
  bench = await openWorkbench()
  authorizationServer.requests.clear()
})
afterEach(() => bench.close())

const refreshes = () =>
  authorizationServer.requests.to('/token').filter(({ body }) => body.includes('grant_type=refresh_token'))

describe('with the transports of the official SDK', () => {
  test.each([
    ['Streamable HTTP', {}],
    ['SSE', { transport: 'sse' as const }],
  ])('%s: carries the stored login, renews it and never asks', async (title, options) => {
    const server = await startProtectedServer(authorizationServer, options)
    const client = new Client({ name: 'any program', version: '1' })
    try {
      const demo = { name: 'demo', url: server.url }
      await bench.login(demo)
      const fetch = bench.latchkey.authorizedFetch(demo)
      const Transport = title === 'SSE' ? SSEClientTransport : StreamableHTTPClientTransport
      await client.connect(new Transport(new URL(server.url), { fetch }))
      await client.callTool({ name: 'echo', arguments: { text: 'before' } })
      authorizationServer.expireAccessTokens()
      await client.callTool({ name: 'echo', arguments: { text: 'after' } })

      expect(server.toolCalls.map(({ args }) => args.text)).toEqual(['before', 'after'])
      expect(refreshes()).toHaveLength(1)
      expect(bench.browser.opened).toHaveLength(1)
    } finally {
      await client.close()
      await server.close()
    }
  })

  test('[MCP-02] without a login it is login_required, by the one name the SDK lets through', async () => {
    const server = await startProtectedServer(authorizationServer)
    const client = new Client({ name: 'any program', version: '1' }, { versionNegotiation: { mode: 'auto' } })
    try {
      const fetch = bench.latchkey.authorizedFetch({ name: 'demo', url: server.url })
      const transport = new StreamableHTTPClientTransport(new URL(server.url), { fetch })
      expect(await failureOf(client.connect(transport))).toMatchObject({
        code: 'login_required',
        name: 'UnauthorizedError',
        server: 'demo',
        challenge: { scheme: 'bearer', resource_metadata: expect.stringContaining(server.origin) },
      })
    } finally {
      await client.close()
      await server.close()
    }
  })
})

test('a request that was refused before somebody signed in is sent again with the new login', async () => {
  const server = await startProtectedServer(authorizationServer)
  try {
    const demo = { name: 'demo', url: server.url }
    let release = () => {}
    const held = new Promise<undefined>((resolve) => {
      release = () => resolve(undefined)
    })
    server.intercept = ({ headers, method }) =>
      method === 'PUT' && !headers.authorization ? held.then(() => undefined) : undefined
    const answer = bench.latchkey.authorizedFetch(demo)(server.url, { method: 'PUT', body: '{}' })
    await expect.poll(() => server.requests.length).toBe(1)
    await bench.login(demo)
    release()
    expect((await answer).status).not.toBe(401)
    expect(server.requests.filter(({ method }) => method === 'PUT').map(({ status }) => status)[0]).toBe(401)
  } finally {
    await server.close()
  }
})

describe('with plain fetch', () => {
  let server: LoopbackServer
  let fetch: Fetch
  let url: string
  beforeAll(async () => {
    server = await startLoopbackServer(async (_request, response, { headers, body, pathname, query }) => {
      const to = query.get('to')
      if (pathname === '/round') response.writeHead(307, { location: '/round' }).end()
      else if (pathname === '/redirect' && to) {
        response.writeHead(Number(query.get('status')), { location: to }).end()
      } else if (authorizationServer.verifyAccessToken(token(headers))) {
        response.writeHead(200).end(body)
      } else response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    })
    url = `${server.origin}/mcp`
  })
  afterAll(() => server.close())
  const token = ({ authorization = '' }: Record<string, string>) => authorization.replace('Bearer ', '')

  /** A login for the loopback server, made at a real one that has metadata. */
  beforeEach(async () => {
    const { issuer, authorization_endpoint, token_endpoint, registration_endpoint, scopes_supported } =
      (await authorizationServer.metadata()) as Record<string, string>
    const metadata = {
      issuer,
      authorization_endpoint,
      token_endpoint,
      registration_endpoint,
      scopes_supported,
    }
    const demo = { name: 'demo', url, auth: { oauth_provider: { metadata: metadata as never } } }
    await bench.login(demo)
    fetch = bench.latchkey.authorizedFetch(demo)
    server.requests.clear()
    authorizationServer.requests.clear()
  })

  const text = 'čaj & rum'
  const bytes = new TextEncoder().encode(text)
  const stream = () => new Blob([bytes]).stream()
  async function* pieces() {
    for (const byte of bytes) yield Uint8Array.of(byte)
  }
  test.each<[string, () => Parameters<Fetch>]>([
    ['a string', () => [url, { method: 'POST', body: text }]],
    ['a URL and bytes', () => [new URL(url), { method: 'POST', body: bytes }]],
    ['a Blob', () => [url, { method: 'PUT', body: new Blob([bytes]) }]],
    ['a stream', () => [url, { method: 'POST', body: stream(), duplex: 'half' } as RequestInit]],
    [
      'an async iterable',
      () => [url, { method: 'POST', body: pieces() as never, duplex: 'half' } as RequestInit],
    ],
    ['a Request', () => [new Request(url, { method: 'PATCH', body: text, headers: { 'x-kept': 'yes' } })]],
    ['a Request and init', () => [new Request(url), { method: 'POST', body: text }]],
  ])('%s is sent again, whole, after a 401', async (_title, request) => {
    authorizationServer.expireAccessTokens()
    const response = await fetch(...request())
    expect(response.status).toBe(200)
    expect(await response.text()).toBe(text)
    expect(server.requests.map(({ status }) => status)).toEqual([401, 200])
    const [refusedOnce, replayed] = server.requests
    expect(replayed!.body).toBe(text)
    expect(replayed!.method).toBe(refusedOnce!.method)
    expect(replayed!.headers['x-kept']).toBe(refusedOnce!.headers['x-kept'])
    expect(replayed!.headers.authorization).not.toBe(refusedOnce!.headers.authorization)
    expect(refreshes()).toHaveLength(1)
  })

  test('[USE-03] an Authorization of the caller does not stand beside ours', async () => {
    const response = await fetch(url, { headers: { Authorization: 'Bearer stale' } })
    expect(response.status).toBe(200)
    expect(server.requests.map(({ headers }) => headers.authorization)).not.toContain('Bearer stale')
  })

  test('an abort by the caller is an AbortError, and nothing is sent', async () => {
    const signal = AbortSignal.abort()
    expect(await failureOf(fetch(url, { signal }))).toMatchObject({ name: 'AbortError' })
    expect(server.requests).toHaveLength(0)
  })

  describe('redirects', () => {
    let elsewhere: LoopbackServer
    beforeAll(async () => {
      elsewhere = await startLoopbackServer((_request, response) => response.end('elsewhere'))
    })
    afterAll(() => elsewhere.close())
    const redirect = (status: number, to: string) =>
      `${server.origin}/redirect?${new URLSearchParams({ status: String(status), to })}`

    test.each([307, 308])('%i within the origin is followed, with the token and the body', async (status) => {
      const response = await fetch(redirect(status, '/moved'), { method: 'POST', body: text })
      expect(await response.text()).toBe(text)
      expect(server.requests.lines()).toEqual(['POST /redirect', 'POST /moved'])
      expect(server.requests.at(-1)!.headers.authorization).toMatch(/^Bearer /)
    })

    test.each([302, 307])('[USE-04] %i to another origin is not followed', async (status) => {
      const response = await fetch(redirect(status, `${elsewhere.origin}/steal`), {
        method: 'POST',
        body: text,
      })
      expect(response.status).toBe(status)
      expect(elsewhere.requests).toHaveLength(0)
    })

    test('a caller that wants to see redirects itself sees them', async () => {
      const response = await fetch(redirect(307, '/moved'), { redirect: 'manual' })
      expect(response.status).toBe(307)
      expect(server.requests).toHaveLength(1)
    })

    test('a redirect that goes round ends after five hops', async () => {
      const response = await fetch(`${server.origin}/round`)
      expect(response.status).toBe(307)
      expect(server.requests).toHaveLength(6)
    })

    test('[USE-04] no credential and no configured header goes to another origin', async () => {
      const configured = bench.latchkey.authorizedFetch({
        name: 'demo',
        url,
        headers: { 'x-team': 'blue' },
        auth: 'a-static-token',
      })
      await configured(`${elsewhere.origin}/other`, { headers: { 'x-own': 'yes' } })
      const { headers } = elsewhere.requests.at(-1)!
      expect(headers.authorization).toBeUndefined()
      expect(headers['x-team']).toBeUndefined()
      expect(headers['x-own']).toBe('yes')
    })
  })
})

describe('with other credentials', () => {
  let server: McpServerFixture
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
  const post = (fetch: Fetch) => fetch(server.url, { method: 'POST', body })
  beforeAll(async () => {
    server = await startMcpServer()
  })
  afterAll(() => server.close())
  beforeEach(() => server.requests.clear())

  test('[APPL-04] a bearer token, headers(), basicAuth and configured headers go out as they are', async () => {
    const { url } = server
    const { authorizedFetch } = bench.latchkey
    await post(authorizedFetch({ url, auth: 'a-static-token' }))
    await post(authorizedFetch({ url, auth: headers({ 'X-API-Key': 'key' }) }))
    await post(authorizedFetch({ url, auth: basicAuth('user', 'pass') }))
    await post(authorizedFetch({ url, headers: { Authorization: 'Token abc' } }))
    expect(server.requests.map(({ headers }) => headers.authorization ?? headers['x-api-key'])).toEqual([
      'Bearer a-static-token',
      'key',
      `Basic ${btoa('user:pass')}`,
      'Token abc',
    ])
  })

  test('a function signs every request, and every hop of a redirect, with the body it will have', async () => {
    const signed: string[] = []
    const auth = async (request: Request) => {
      const sum = (await request.clone().text()).length
      signed.push(`${request.method} ${new URL(request.url).pathname} ${sum}`)
      request.headers.set('x-signature', String(sum))
      return request
    }
    server.intercept = ({ pathname }) =>
      pathname === '/old' ? { status: 308, headers: { location: '/mcp' } } : undefined
    const fetch = bench.latchkey.authorizedFetch({ url: server.url, auth })
    await fetch(`${server.origin}/old`, { method: 'POST', body })
    server.intercept = undefined
    expect(signed).toEqual([`POST /old ${body.length}`, `POST /mcp ${body.length}`])
    expect(server.requests.map((request) => request.headers['x-signature'])).toEqual([
      String(body.length),
      String(body.length),
    ])
  })

  test('twenty requests with an expired login: one refresh, none with the expired token', async () => {
    const isolated = await startProtectedServer(authorizationServer)
    try {
      const demo = { name: 'demo', url: isolated.url }
      await bench.login(demo)
      const [stale] = await changed()
      isolated.requests.clear()
      const fetch = bench.latchkey.authorizedFetch(demo)
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => fetch(isolated.url, { method: 'POST', body })),
      )
      expect(answers.map(({ status }) => status)).not.toContain(401)
      expect(refreshes()).toHaveLength(1)
      expect(isolated.requests.map(({ headers }) => headers.authorization)).not.toContain(`Bearer ${stale}`)
    } finally {
      await isolated.close()
    }

    async function changed(): Promise<unknown[]> {
      const tokens: unknown[] = []
      await changeStoredLogins(bench.home, (record) => {
        tokens.push(record.access_token)
        return expired(record)
      })
      return tokens
    }
  })
})

test('options.signal ends what is under way, and nothing is sent afterwards', async () => {
  const server = await startMcpServer({ intercept: () => ({ hang: true }) })
  try {
    const abort = new AbortController()
    const fetch = bench.latchkey.authorizedFetch({ url: server.url, auth: false }, { signal: abort.signal })
    const hanging = failureOf(fetch(server.url))
    await expect.poll(() => server.requests.length).toBe(1)
    abort.abort()
    expect(await hanging).toMatchObject({ name: 'AbortError' })
    expect(await failureOf(fetch(server.url))).toMatchObject({ name: 'AbortError' })
    expect(server.requests).toHaveLength(1)
  } finally {
    await server.close()
  }
})
