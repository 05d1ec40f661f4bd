import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { createConsentBrowser, visit } from './fixtures/consent-browser.mjs'
import { startGitHubAuthorizationServer } from './fixtures/github-authorization-server.ts'
import { type LoopbackFixture, startLoopbackServer } from './fixtures/loopback-server.ts'
import { startMcpServer } from './fixtures/mcp-server.ts'
import { authorize, postForm, refresh, register, signIn } from './fixtures/plain-client.ts'
import { parameters } from './fixtures/request-log.ts'
import { startScriptedAuthorizationServer, tokenError } from './fixtures/scripted-authorization-server.ts'

const running: LoopbackFixture[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((fixture) => fixture.close()))
})
async function started<T extends LoopbackFixture>(starting: Promise<T>): Promise<T> {
  const fixture = await starting
  running.push(fixture)
  return fixture
}

const here = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
const resource = 'http://127.0.0.1:1/mcp'
const offline = { resource, scope: 'mcp:read offline_access', prompt: 'consent' }

describe('loopback server', () => {
  test('records requests and leaves the body to the handler', async () => {
    const server = await started(startLoopbackServer((request, response) => request.pipe(response)))
    const response = await fetch(`${server.origin}/a?b=c`, { method: 'POST', body: 'hello' })
    expect(await response.text()).toBe('hello')
    expect(server.requests[0]).toMatchObject({ method: 'POST', path: '/a?b=c', body: 'hello', status: 200 })
    expect(server.requests.lines()).toEqual(['POST /a'])
    expect(server.requests.to('/a', 'GET')).toEqual([])
  })

  test('injects answers, dead sockets and silence', async () => {
    const server = await started(startLoopbackServer((_request, response) => response.end('real')))
    server.intercept = ({ pathname }) => {
      if (pathname === '/503') return { status: 503, headers: { 'retry-after': '1' }, body: { busy: true } }
      if (pathname === '/gone') return { destroy: true }
      if (pathname === '/half') return { destroy: true, body: 'half of it' }
      if (pathname === '/never') return { hang: true }
      return undefined
    }
    const busy = await fetch(`${server.origin}/503`)
    expect([busy.status, busy.headers.get('retry-after'), await busy.json()]).toEqual([
      503,
      '1',
      { busy: true },
    ])
    await expect(fetch(`${server.origin}/gone`)).rejects.toThrow('fetch failed')
    const half = await fetch(`${server.origin}/half`)
    await expect(half.text()).rejects.toThrow('terminated')
    const silent = fetch(`${server.origin}/never`, { signal: AbortSignal.timeout(50) })
    await expect(silent).rejects.toThrow('timeout')
    expect(await (await fetch(server.origin)).text()).toBe('real')
  })
})

describe('authorization server', () => {
  test('registers, authorizes and issues a JWT for the resource, in silence', async () => {
    const spoken = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'info'), vi.spyOn(console, 'error')]
    const server = await started(startAuthorizationServer())
    const metadata = await server.metadata()
    expect(metadata).toMatchObject({ issuer: server.issuer, code_challenge_methods_supported: ['S256'] })
    const { token, response } = await signIn(metadata, offline)
    expect(response.get('iss')).toBe(server.issuer)
    expect(token).toMatchObject({ status: 200, body: { token_type: 'Bearer', expires_in: 3600 } })
    const access_token = String(token.body.access_token)
    const claims = { sub: 'alice', aud: resource, scope: 'mcp:read', iss: server.issuer }
    expect(server.verifyAccessToken(access_token, resource)).toMatchObject(claims)
    expect(server.verifyAccessToken(access_token, `${resource}/`)).toBeUndefined()
    expect(server.verifyAccessToken(`${access_token}x`, resource)).toBeUndefined()
    server.expireAccessTokens()
    expect(server.verifyAccessToken(access_token, resource)).toBeUndefined()
    expect(server.errors).toEqual([])
    for (const spy of spoken) expect(spy).not.toHaveBeenCalled()
  })

  test('serves both metadata documents, with a path in the issuer too', async () => {
    for (const issuerPath of ['', '/tenant/one']) {
      const server = await started(startAuthorizationServer({ issuerPath }))
      const status = async (path: string) => (await fetch(server.origin + path)).status
      expect(await status(`/.well-known/oauth-authorization-server${issuerPath}`)).toBe(200)
      expect(await status(`/.well-known/openid-configuration${issuerPath}`)).toBe(200)
      expect(await status(`${issuerPath}/.well-known/openid-configuration`)).toBe(200)
      if (issuerPath) expect(await status('/.well-known/oauth-authorization-server')).toBe(404)
      const metadata = await server.metadata()
      expect(String(metadata.token_endpoint)).toBe(`${server.issuer}/token`)
      const { token } = await signIn(metadata, { resource })
      expect(server.verifyAccessToken(String(token.body.access_token), resource)).toBeDefined()
    }
  })

  test('rotates refresh tokens; a replayed one ends the family', async () => {
    const server = await started(startAuthorizationServer())
    const metadata = await server.metadata()
    const { client_id, token } = await signIn(metadata, offline)
    const second = await refresh(metadata, client_id, token.body.refresh_token, resource)
    expect(second.status).toBe(200)
    expect(second.body.refresh_token).not.toBe(token.body.refresh_token)
    const replayed = await refresh(metadata, client_id, token.body.refresh_token)
    expect(replayed).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await refresh(metadata, client_id, second.body.refresh_token)).body.error).toBe('invalid_grant')
    expect(server.verifyAccessToken(String(second.body.access_token), resource)).toBeUndefined()
  })

  test('can omit the refresh token, lose an answer, forget a client', async () => {
    const server = await started(startAuthorizationServer({ omitRefreshTokenOnRefresh: true }))
    const metadata = await server.metadata()
    const { client_id, token } = await signIn(metadata, offline)
    const { refresh_token } = token.body
    const second = await refresh(metadata, client_id, refresh_token, resource)
    expect(second.status).toBe(200)
    expect(second.body).not.toHaveProperty('refresh_token')
    server.rewriteAnswer = ({ pathname }) => (pathname === '/token' ? { destroy: true } : undefined)
    await expect(refresh(metadata, client_id, refresh_token)).rejects.toThrow('fetch failed')
    server.rewriteAnswer = undefined
    await server.deleteClient(client_id)
    expect((await refresh(metadata, client_id, refresh_token)).body.error).toBe('invalid_client')
  })

  test('revokes a grant with its refresh token', async () => {
    const server = await started(startAuthorizationServer({ offlineAccess: false }))
    const metadata = await server.metadata()
    expect(metadata.scopes_supported).not.toContain('offline_access')
    const { client_id, token } = await signIn(metadata, { resource })
    const form = { token: String(token.body.refresh_token), client_id, token_type_hint: 'refresh_token' }
    expect((await postForm(metadata.revocation_endpoint, form)).status).toBe(200)
    expect((await refresh(metadata, client_id, form.token)).body.error).toBe('invalid_grant')
    expect(server.verifyAccessToken(String(token.body.access_token), resource)).toBeUndefined()
  })

  test('knows pre-registered clients and compares their redirect URI exactly', async () => {
    const redirect_uri = 'http://localhost:8080/callback'
    const client = { client_id: 'pre', client_secret: 's/e+c:ret', redirect_uris: [redirect_uri] }
    const server = await started(startAuthorizationServer({ registration: false, clients: [client] }))
    const metadata = await server.metadata()
    expect(metadata).not.toHaveProperty('registration_endpoint')
    const { response, code_verifier } = await authorize(metadata.authorization_endpoint, {
      client_id: 'pre',
      redirect_uri,
      ...offline,
    })
    const basic = Buffer.from(`pre:${encodeURIComponent(client.client_secret)}`).toString('base64')
    const code = { grant_type: 'authorization_code', code: response.get('code') ?? '', redirect_uri }
    const headers = { authorization: `Basic ${basic}` }
    const token = await postForm(metadata.token_endpoint, { ...code, code_verifier, resource }, headers)
    expect(token.status).toBe(200)
    const elsewhere = { client_id: 'pre', redirect_uri: 'http://localhost:8081/callback', ...offline }
    const { visit: refused } = await authorize(metadata.authorization_endpoint, elsewhere)
    expect([refused.status, refused.html]).toEqual([400, expect.stringContaining('invalid_redirect_uri')])
  })

  test('a person can say no', async () => {
    const server = await started(startAuthorizationServer())
    const metadata = await server.metadata()
    const redirect_uri = 'http://127.0.0.1:9/callback'
    const { body } = await register(metadata.registration_endpoint, { redirect_uris: [redirect_uri] })
    const browser = createConsentBrowser({
      decision: 'deny',
      stopBefore: (url) => url.startsWith(redirect_uri),
    })
    const request = { client_id: String(body.client_id), redirect_uri, ...offline }
    const { response } = await authorize(metadata.authorization_endpoint, request, browser)
    expect(Object.fromEntries(response)).toMatchObject({ error: 'access_denied', iss: server.issuer })
  })
})

describe('consent browser', () => {
  test('runs as a program and writes down what it did', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'consent-browser-'))
    const log = join(folder, 'log')
    const server = await started(
      startLoopbackServer((request, response) => {
        if (request.url === '/start') response.writeHead(302, { location: '/callback?code=1' }).end()
        else response.end('<p>done</p>')
      }),
    )
    const env = { ...process.env, CONSENT_BROWSER_LOG: log }
    await promisify(execFile)(here('consent-browser.mjs'), [`${server.origin}/start`], { env })
    const lines = (await readFile(log, 'utf8')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'opened', argv: [`${server.origin}/start`] },
      { event: 'visited', status: 200, finalUrl: `${server.origin}/callback?code=1` },
    ])
    await rm(folder, { recursive: true })
  })

  test('reports a dead address instead of throwing', async () => {
    expect(await visit('http://127.0.0.1:9/')).toMatchObject({ status: 0, error: expect.any(String) })
  })
})

describe('GitHub-shaped authorization server', () => {
  const app = { client_id: 'Iv1.fixture', client_secret: 'github-secret' }
  const callback = { redirect_uri: 'http://localhost:8080/callback', scope: 'repo read:user' }

  test('answers as form or JSON, with a comma-separated scope and nothing to refresh', async () => {
    const server = await started(startGitHubAuthorizationServer())
    const metadata = await fetch(`${server.origin}/.well-known/oauth-authorization-server/login/oauth`)
    const document = (await metadata.json()) as Record<string, unknown>
    expect(document).toMatchObject({ issuer: server.issuer, code_challenge_methods_supported: ['S256'] })
    const { token, response } = await signIn(document, { ...app, ...callback })
    expect([...response.keys()]).toEqual(['code', 'state'])
    expect(token.headers.get('content-type')).toContain('application/x-www-form-urlencoded')
    const { access_token } = token.body
    expect(token.body).toEqual({ access_token, scope: 'repo,read:user', token_type: 'bearer' })
    expect(server.verifyAccessToken(String(access_token))).toMatchObject({ sub: 'octocat' })
    server.answers = 'json'
    expect((await signIn(document, { ...app, ...callback })).token.text).toMatch(/^\{"access_token":"gho_/)
    expect((await register(`${server.issuer}/register`, {})).status).toBe(404)
  })

  test('errors come with status 200', async () => {
    const server = await started(startGitHubAuthorizationServer({ approval: 'page' }))
    const { token_endpoint, authorization_endpoint } = server.metadata
    const json = { accept: 'application/json' }
    const { response, code_verifier } = await authorize(authorization_endpoint, {
      ...callback,
      client_id: app.client_id,
    })
    const code = { grant_type: 'authorization_code', code: response.get('code') ?? '', code_verifier }
    const error = async (form: Record<string, string>) => {
      const { status, body } = await postForm(token_endpoint, form, json)
      return [status, body.error]
    }
    const { client_id } = app
    expect(await error({ ...code, client_id })).toEqual([200, 'incorrect_client_credentials'])
    expect(await error({ ...code, ...app, code: 'nonsense' })).toEqual([200, 'bad_verification_code'])
    const elsewhere = { ...code, ...app, redirect_uri: 'http://localhost:8081/callback' }
    expect(await error(elsewhere)).toEqual([200, 'redirect_uri_mismatch'])
  })

  test('a foreign redirect URI ends at the registered callback', async () => {
    const server = await started(startGitHubAuthorizationServer())
    const url = new URL(server.metadata.authorization_endpoint)
    url.search = `client_id=${app.client_id}&state=s&redirect_uri=http%3A%2F%2Flocalhost%3A8081%2Fcallback`
    const { finalUrl } = await visit(url.href, {
      stopBefore: (next) => next.startsWith(callback.redirect_uri),
    })
    const response = Object.fromEntries(new URL(finalUrl).searchParams)
    expect(response).toMatchObject({ error: 'redirect_uri_mismatch', state: 's' })
  })
})

describe('scripted authorization server', () => {
  test('is a whole 2025-03-26 server on one origin', async () => {
    const server = await started(
      startScriptedAuthorizationServer({ metadataAt: [], mcp: { resourceMetadata: 'none' } }),
    )
    expect((await fetch(server.url, { method: 'POST' })).headers.get('www-authenticate')).toBe('Bearer')
    expect((await fetch(`${server.origin}/.well-known/oauth-authorization-server`)).status).toBe(404)
    const { token } = await signIn(server.metadata())
    const client = await connected(server.url, String(token.body.access_token))
    expect(await call(client, 'whoami')).toBe('alice')
    expect(server.toolCalls).toHaveLength(1)
  })

  test('replaces single answers', async () => {
    const server = await started(startScriptedAuthorizationServer({ rotate: false }))
    const { client_id, token } = await signIn(server.metadata())
    server.scripts = {
      registration: (_request, { body }) => ({
        status: 200,
        body: { ...(body as object), client_secret: null },
      }),
      token: (request) =>
        parameters(request).grant_type === 'refresh_token'
          ? tokenError('invalid_grant', 'scripted')
          : undefined,
    }
    const registered = await register(server.metadata().registration_endpoint, {
      redirect_uris: ['http://a/'],
    })
    expect(registered).toMatchObject({ status: 200, body: { client_secret: null } })
    const refused = await refresh(server.metadata(), client_id, token.body.refresh_token)
    expect(refused.body.error_description).toBe('scripted')
    server.scripts = {}
    expect((await refresh(server.metadata(), client_id, token.body.refresh_token)).status).toBe(200)
  })
})

type Mode = 'legacy' | 'auto'
const clients: Client[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
})

async function connected(url: string, token: string, mode: Mode = 'auto', sse = false): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode } })
  clients.push(client)
  const init = { requestInit: { headers: { authorization: `Bearer ${token}` } } }
  const Transport = sse ? SSEClientTransport : StreamableHTTPClientTransport
  await client.connect(new Transport(new URL(url), init))
  return client
}

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const { content } = (await client.callTool({ name, arguments: args })) as { content: { text: string }[] }
  return content[0]?.text
}

describe('MCP server', () => {
  test('with OAuth: challenge, metadata, call with the token, expiry', async () => {
    const server = await started(startAuthorizationServer())
    const mcp = await started(
      startMcpServer({
        protect: {
          kind: 'oauth',
          authorizationServers: [server.issuer],
          verify: server.verifyAccessToken,
          scopesSupported: ['mcp:read'],
          challengeScope: 'mcp:read',
          toolScopes: { echo: 'mcp:write' },
        },
      }),
    )
    const refused = await fetch(mcp.url, { method: 'POST', body: '{}' })
    const metadataUrl = `${mcp.origin}/.well-known/oauth-protected-resource/mcp`
    const challenge = `Bearer scope="mcp:read", resource_metadata="${metadataUrl}"`
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, challenge])
    expect(await (await fetch(metadataUrl)).json()).toMatchObject({
      resource: mcp.url,
      authorization_servers: [server.issuer],
    })
    const { token } = await signIn(await server.metadata(), { ...offline, resource: mcp.url })
    const access_token = String(token.body.access_token)
    const client = await connected(mcp.url, access_token)
    expect(await call(client, 'whoami')).toBe('alice')
    expect(mcp.toolCalls).toEqual([{ name: 'whoami', args: {}, authorization: `Bearer ${access_token}` }])
    await expect(call(client, 'echo', { text: 'no' })).rejects.toThrow(/scope/)
    server.expireAccessTokens()
    await expect(call(client, 'whoami')).rejects.toThrow()
    expect(mcp.requests.at(-1)?.status).toBe(401)
  })

  for (const [era, mode, version] of [
    ['2025', 'auto', '2025-11-25'],
    ['2026', 'auto', '2026-07-28'],
    ['both', 'legacy', '2025-11-25'],
    ['both', 'auto', '2026-07-28'],
  ] as const) {
    test(`era ${era} speaks ${version} to a client in mode ${mode}`, async () => {
      const mcp = await started(startMcpServer({ era, protect: { kind: 'bearer', token: 'good' } }))
      const client = await connected(mcp.url, 'good', mode)
      expect(client.getNegotiatedProtocolVersion()).toBe(version)
      expect(await call(client, 'echo', { text: 'hello' })).toBe('hello')
      await expect(connected(mcp.url, 'bad', mode)).rejects.toThrow()
      mcp.protect = { kind: 'none' }
      await connected(mcp.url, 'bad', mode)
    })
  }

  test('era 2026 refuses the initialize handshake', async () => {
    const mcp = await started(startMcpServer({ era: '2026' }))
    await expect(connected(mcp.url, '', 'legacy')).rejects.toThrow('Unsupported protocol version')
  })

  test('SSE only: 401 first, then 405 for a POST, then a session', async () => {
    const mcp = await started(
      startMcpServer({ transport: 'sse', protect: { kind: 'bearer', token: 'good' } }),
    )
    const headers = { authorization: 'Bearer good' }
    expect((await fetch(mcp.url, { method: 'POST', body: '{}' })).status).toBe(401)
    expect((await fetch(mcp.url)).status).toBe(401)
    expect((await fetch(mcp.url, { method: 'POST', body: '{}', headers })).status).toBe(405)
    const client = await connected(mcp.url, 'good', 'auto', true)
    expect(await call(client, 'whoami')).toBe('bearer')
    expect(mcp.toolCalls[0]?.authorization).toBe('Bearer good')
  })

  test('Basic and header protection', async () => {
    const mcp = await started(startMcpServer({ protect: { kind: 'basic', user: 'u', password: 'p' } }))
    const status = async (headers: Record<string, string>) =>
      (await fetch(mcp.url, { method: 'POST', body: '{}', headers })).status
    expect(await status({})).toBe(401)
    expect(await status({ authorization: `Basic ${btoa('u:p')}` })).not.toBe(401)
    mcp.protect = { kind: 'header', name: 'X-Api-Key', value: 'k' }
    expect(await status({})).toBe(401)
    expect(await status({ 'x-api-key': 'k' })).not.toBe(401)
  })

  test('sessions of 2025 can be dropped', async () => {
    const mcp = await started(startMcpServer({ era: '2025' }))
    const client = await connected(mcp.url, '', 'legacy')
    await mcp.dropSessions()
    await expect(call(client, 'whoami')).rejects.toThrow('Session not found')
    expect(mcp.requests.at(-1)?.status).toBe(404)
  })
})

test('stdio server', async () => {
  const client = new Client({ name: 'test', version: '1.0.0' })
  clients.push(client)
  const args = [here('stdio-server.mjs')]
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args, env: { FROM_TEST: 'yes' } }),
  )
  expect(await call(client, 'echo', { text: 'hello' })).toBe('hello')
  expect(await call(client, 'env', { name: 'FROM_TEST' })).toBe('yes')
})
