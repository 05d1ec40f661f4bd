import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { DiscoveryFailedError, LatchkeyError } from '../src/errors/index.ts'
import type { ServerInput } from '../src/latchkey.ts'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import { createManualClock } from './fixtures/manual-clock.ts'
import { startMcpServer } from './fixtures/mcp-server.ts'
import { parameters, type RequestLog } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  type ScriptedAuthorizationServerOptions,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const opened = closedAfterEach()

function keep<T extends { close(): Promise<void> }>(each: T): T {
  opened.push(each)
  return each
}

/** Every request that was not made by the person's browser. */
function machineRequests(requests: RequestLog): string[] {
  return requests
    .filter(({ headers }) => headers['user-agent'] !== 'consent-browser')
    .map(({ method, pathname }) => `${method} ${pathname}`)
}

const PRM = '/.well-known/oauth-protected-resource'
const AS = '/.well-known/oauth-authorization-server'
const OIDC = '/.well-known/openid-configuration'
const HTML: Answer = {
  headers: { 'content-type': 'text/html' },
  body: '<!doctype html><title>App</title>',
}
const NOT_FOUND: Answer = { status: 404 }

interface Shape {
  server?: ScriptedAuthorizationServerOptions
  /** Answers by path, before the fixture's own. */
  answers?: (server: ScriptedAuthorizationServer) => Record<string, Answer>
  auth?: OAuthConfig
}

interface Found {
  /** Up to registration and token request, which follow. */
  discovery: string[]
  source?: string
  issuer?: string
}

async function start({ server = {}, answers }: Shape): Promise<ScriptedAuthorizationServer> {
  const fixture = keep(await startScriptedAuthorizationServer({ ...server, mcp: server.mcp ?? {} }))
  const table = answers?.(fixture) ?? {}
  fixture.intercept = ({ method, pathname }) => table[`${method} ${pathname}`] ?? table[pathname]
  return fixture
}

async function login(shape: Shape, bench?: Workbench) {
  const server = await start(shape)
  const workbench = bench ?? keep(await openWorkbench())
  const auth = { callback_port: await freePort(), ...shape.auth }
  return { server, workbench, outcome: workbench.login({ name: 'demo', url: server.url, auth }) }
}

const challenge = (value: string): Answer => ({ status: 401, headers: { 'www-authenticate': value } })

function resourceMetadata({ url, issuer }: ScriptedAuthorizationServer, more: object = {}): Answer {
  return { body: { resource: url, authorization_servers: [issuer], ...more } }
}

describe('server shapes that lead to a sign-in', () => {
  test.each<[string, Shape, Found]>([
    [
      'a server at the root',
      { server: { mcp: { path: '/', resourceMetadata: 'path' } } },
      { discovery: ['POST /', `GET ${PRM}`, `GET ${AS}`] },
    ],
    [
      '[DISC-01] metadata named by the challenge',
      {},
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`], source: 'resource metadata' },
    ],
    [
      '[DISC-02] metadata at a place of its own, named by the challenge',
      {
        answers: (s) => ({
          '/mcp': challenge(`Bearer resource_metadata="${s.origin}/custom/prm.json"`),
          '/custom/prm.json': resourceMetadata(s),
        }),
      },
      { discovery: ['POST /mcp', 'GET /custom/prm.json', `GET ${AS}`] },
    ],
    [
      '[CHAL-02] [CHAL-04] an unquoted challenge URL beside another scheme',
      {
        answers: (s) => ({
          '/mcp': challenge(`Basic realm="a, b", Bearer resource_metadata=${s.origin}/prm, scope="x"`),
          '/prm': resourceMetadata(s),
        }),
      },
      { discovery: ['POST /mcp', 'GET /prm', `GET ${AS}`] },
    ],
    [
      '[DISC-03] metadata under the path, not named',
      { server: { mcp: { resourceMetadata: 'path' } } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[CHAL-01] a bare 401 without any challenge',
      { server: { mcp: { resourceMetadata: 'path', wwwAuthenticate: false } } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      'a URL with a trailing slash',
      {
        server: { mcp: { path: '/mcp/', resourceMetadata: 'none' } },
        answers: (s) => ({ [`${PRM}/mcp`]: resourceMetadata(s) }),
      },
      { discovery: ['POST /mcp/', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[DISC-03] metadata at the root for the whole origin',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [PRM]: resourceMetadata(s, { resource: s.origin }) }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`] },
    ],
    [
      'HTML with 200 under the path, metadata at the root',
      {
        server: { mcp: { resourceMetadata: 'root' } },
        answers: () => ({ [`${PRM}/mcp`]: HTML }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`] },
    ],
    [
      'a 401 wall under the path, metadata at the root',
      {
        server: { mcp: { resourceMetadata: 'root' } },
        answers: () => ({ [`${PRM}/mcp`]: challenge('Bearer') }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`] },
    ],
    [
      '[META-02] a tenant, RFC 8414 inserted',
      { server: { issuerPath: '/tenant' } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}/tenant`] },
    ],
    [
      '[META-02] a tenant, OpenID inserted',
      { server: { issuerPath: '/tenant', metadataAt: ['openid'] } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}/tenant`, `GET ${OIDC}/tenant`] },
    ],
    [
      '[META-02] a tenant, OpenID appended',
      { server: { issuerPath: '/tenant', metadataAt: ['openid-appended'] } },
      {
        discovery: [
          'POST /mcp',
          `GET ${PRM}/mcp`,
          `GET ${AS}/tenant`,
          `GET ${OIDC}/tenant`,
          `GET /tenant${OIDC}`,
        ],
      },
    ],
    [
      '[META-01] [META-03] OpenID metadata only',
      { server: { metadataAt: ['openid'] } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      '[META-05] HTML with 200 at the RFC 8414 URL',
      { server: { metadataAt: ['openid'] }, answers: () => ({ [AS]: HTML }) },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      'an RFC 8414 document without a word of PKCE, and an OpenID document with it',
      {
        server: { metadataAt: ['openid'] },
        answers: (s) => ({
          [AS]: { body: { ...s.metadata(), code_challenge_methods_supported: undefined } },
        }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      '[PKCE-06] metadata without a word of PKCE where that is accepted',
      {
        answers: (s) => ({
          [AS]: { body: { ...s.metadata(), code_challenge_methods_supported: undefined } },
        }),
        auth: { missing_pkce_metadata: 'accept' },
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[CHAL-02] a challenge for DPoP beside one for Bearer in a header line of its own',
      {
        answers: (s) => ({
          '/mcp': {
            status: 401,
            headers: {
              'www-authenticate': ['DPoP algs="ES256"', `Bearer resource_metadata="${s.origin}/prm"`],
            },
          },
          '/prm': resourceMetadata(s),
        }),
      },
      { discovery: ['POST /mcp', 'GET /prm', `GET ${AS}`] },
    ],
    [
      '[DISC-06] a resource that is the origin with a slash',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [`${PRM}/mcp`]: resourceMetadata(s, { resource: `${s.origin}/` }) }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[META-05] a 403 wall at the RFC 8414 URL',
      { server: { metadataAt: ['openid'] }, answers: () => ({ [AS]: { ...HTML, status: 403 } }) },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      'an issuer that ends in a slash',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => {
          s.settings.issuer = `${s.origin}/`
          return {
            [`${PRM}/mcp`]: resourceMetadata(s, { authorization_servers: [`${s.origin}/`] }),
            [AS]: { body: { ...s.metadata(), issuer: `${s.origin}/` } },
          }
        },
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      'metadata typed as text, with null members and an extra one',
      {
        answers: (s) => ({
          [AS]: {
            headers: { 'content-type': 'text/plain' },
            body: JSON.stringify({ ...s.metadata(), scopes_supported: null, jwks_uri: null, x: {} }),
          },
        }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      'redirected resource metadata',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({
          [`${PRM}/mcp`]: { status: 302, headers: { location: '/moved/prm' } },
          '/moved/prm': resourceMetadata(s),
        }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, 'GET /moved/prm', `GET ${AS}`] },
    ],
    [
      'redirected server metadata',
      {
        server: { metadataAt: ['openid'] },
        answers: () => ({ [AS]: { status: 307, headers: { location: OIDC } } }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      '[DISC-07] several authorization servers, the first without metadata',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({
          [`${PRM}/mcp`]: resourceMetadata(s, { authorization_servers: [`${s.origin}/gone`, s.issuer] }),
        }),
      },
      {
        discovery: [
          'POST /mcp',
          `GET ${PRM}/mcp`,
          `GET ${AS}/gone`,
          `GET ${OIDC}/gone`,
          `GET /gone${OIDC}`,
          `GET ${AS}`,
        ],
      },
    ],
    [
      'resource metadata that names no authorization server',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [`${PRM}/mcp`]: { body: { resource: s.url, scopes_supported: ['from:prm'] } } }),
      },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`], source: 'origin metadata' },
    ],
    [
      '[COMPAT-01] 2025-03-26 with metadata at the origin',
      { server: { mcp: { resourceMetadata: 'none' } } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`], source: 'origin metadata' },
    ],
    [
      '[COMPAT-02] 2025-03-26 with default endpoints only',
      { server: { metadataAt: [], mcp: { resourceMetadata: 'none' } } },
      {
        discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`, `GET ${OIDC}`],
        source: 'default endpoints',
      },
    ],
    [
      'a server that has metadata but asks for nothing yet',
      { answers: () => ({ '/mcp': { body: {} } }), server: { mcp: { resourceMetadata: 'path' } } },
      { discovery: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      'an SSE server that refuses POST before it looks at credentials',
      { answers: () => ({ 'POST /mcp': { status: 405 } }) },
      { discovery: ['POST /mcp', 'GET /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
  ])('%s', async (_name, shape, { discovery, source = 'resource metadata' }) => {
    const { server, workbench, outcome } = await login(shape)
    expect(await outcome).toMatchObject({ state: 'signed_in', client_kind: 'dynamic' })
    expect(machineRequests(server.requests)).toEqual([...discovery, 'POST /register', 'POST /token'])
    expect(workbench.told('server_metadata_found')).toMatchObject([
      {
        source,
        authorization_endpoint: `${server.origin}/authorize`,
        token_endpoint: `${server.origin}/token`,
        registration_endpoint: `${server.origin}/register`,
      },
    ])
  })

  test('default endpoints with a configured client are looked at before the browser opens', async () => {
    const callback_port = await freePort()
    const redirect_uris = [`http://localhost:${callback_port}/callback`]
    const { server, outcome } = await login({
      server: {
        metadataAt: [],
        mcp: { resourceMetadata: 'none' },
        clients: [{ client_id: 'mine', redirect_uris }],
      },
      auth: { client_id: 'mine', callback_port },
    })
    expect(await outcome).toMatchObject({ state: 'signed_in', client_kind: 'pre-registered' })
    expect(machineRequests(server.requests)).toEqual([
      'POST /mcp',
      `GET ${PRM}/mcp`,
      `GET ${PRM}`,
      `GET ${AS}`,
      `GET ${OIDC}`,
      'GET /authorize',
      'POST /token',
    ])
  })

  test('an authorization server on another host gets everything but discovery of the resource', async () => {
    const as = keep(await startScriptedAuthorizationServer({ host: 'localhost', issuerPath: '/oauth' }))
    const mcp = keep(
      await startMcpServer({
        protect: { kind: 'oauth', authorizationServers: [as.issuer], verify: as.verifyAccessToken },
      }),
    )
    const workbench = keep(await openWorkbench())
    const status = await workbench.login({ url: mcp.url, auth: { callback_port: await freePort() } })
    expect(status).toMatchObject({ state: 'signed_in', issuer: as.issuer })
    expect(mcp.requests.lines()).toEqual(['POST /mcp', `GET ${PRM}/mcp`])
    expect(machineRequests(as.requests)).toEqual([`GET ${AS}/oauth`, 'POST /register', 'POST /token'])
  })

  test('[DISC-07] of several authorization servers the one with a login comes first', async () => {
    const [first, second] = [
      keep(await startScriptedAuthorizationServer()),
      keep(await startScriptedAuthorizationServer()),
    ]
    const mcp = keep(
      await startMcpServer({
        protect: {
          kind: 'oauth',
          authorizationServers: [first.issuer, second.issuer],
          verify: first.verifyAccessToken,
        },
      }),
    )
    const workbench = keep(await openWorkbench())
    const server = { url: mcp.url, auth: { callback_port: await freePort() } }
    expect((await workbench.login(server)).issuer).toBe(first.issuer)
    mcp.protect = {
      kind: 'oauth',
      authorizationServers: [second.issuer, first.issuer],
      verify: first.verifyAccessToken,
    }
    expect((await workbench.login(server)).issuer).toBe(first.issuer)
    expect(second.requests).toHaveLength(0)
  })
})

interface Stopped {
  code: string
  requests: string[]
  /** `path status type → outcome` of what the error lists. */
  attempts?: string[]
  remedy?: RegExp
}

describe('server shapes that lead to an error', () => {
  test.each<[string, Shape, Stopped]>([
    [
      '[DISC-04] a named document that is not there: no other is guessed',
      { answers: () => ({ [`${PRM}/mcp`]: NOT_FOUND }) },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`],
        attempts: [`${PRM}/mcp 404 undefined → not there`],
        remedy: /oauth_provider/,
      },
    ],
    [
      '[DISC-04] a named document that is HTML',
      { answers: () => ({ [`${PRM}/mcp`]: HTML }) },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`],
        attempts: [`${PRM}/mcp 200 text/html → not JSON`],
      },
    ],
    [
      'an authorization server without metadata',
      { server: { issuerPath: '/t', metadataAt: [] } },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}/t`, `GET ${OIDC}/t`, `GET /t${OIDC}`],
        attempts: [
          `${PRM}/mcp 200 application/json → protected resource metadata`,
          `${AS}/t 404 undefined → not there`,
          `${OIDC}/t 404 undefined → not there`,
          `/t${OIDC} 404 undefined → not there`,
        ],
      },
    ],
    [
      '[DISC-09] nothing anywhere, asked for Bearer',
      {
        server: { metadataAt: [], mcp: { resourceMetadata: 'none' } },
        answers: () => ({
          [PRM]: HTML,
          '/register': { status: 404, body: 'no', headers: { 'content-type': 'text/plain' } },
        }),
      },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`, `GET ${OIDC}`, 'POST /register'],
        attempts: [
          `${PRM}/mcp 404 undefined → not there`,
          `${PRM} 200 text/html → not JSON`,
          `${AS} 404 undefined → not there`,
          `${OIDC} 404 undefined → not there`,
          '/register 404 text/plain → registers no client',
        ],
        remedy: /`auth: "<token>"`/,
      },
    ],
    [
      'nothing anywhere, with a configured client',
      {
        server: { metadataAt: [], mcp: { resourceMetadata: 'none' } },
        answers: () => ({ '/authorize': NOT_FOUND }),
        auth: { client_id: 'mine' },
      },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`, `GET ${OIDC}`, 'GET /authorize'],
        remedy: /oauth_provider/,
      },
    ],
    [
      '[COMPAT-04] Basic: default endpoints are not guessed',
      {
        server: { metadataAt: [], mcp: { resourceMetadata: 'none' } },
        answers: () => ({ '/mcp': challenge('Basic realm="intra"') }),
      },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`, `GET ${OIDC}`],
        remedy: /basicAuth\(user, password\)/,
      },
    ],
    [
      '[COMPAT-04] no authentication at all',
      {
        server: { metadataAt: [], mcp: { resourceMetadata: 'none' } },
        answers: () => ({ '/mcp': { body: {} } }),
      },
      {
        code: 'discovery_failed',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`, `GET ${OIDC}`],
        remedy: /without asking for a credential.*`auth: false`/,
      },
    ],
    [
      '[DISC-05] resource metadata of another resource: the authorization server is not asked',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [`${PRM}/mcp`]: resourceMetadata(s, { resource: 'https://victim.example/mcp' }) }),
      },
      { code: 'resource_mismatch', requests: ['POST /mcp', `GET ${PRM}/mcp`] },
    ],
    [
      '[DISC-05] resource metadata of a path that only begins alike',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [`${PRM}/mcp`]: resourceMetadata(s, { resource: `${s.origin}/mc` }) }),
      },
      { code: 'resource_mismatch', requests: ['POST /mcp', `GET ${PRM}/mcp`] },
    ],
    [
      '[META-04] metadata of another issuer: no other document is tried',
      { answers: (s) => ({ [AS]: { body: { ...s.metadata(), issuer: `${s.origin}/` } } }) },
      {
        code: 'issuer_mismatch',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`],
        remedy: /oauth_provider/,
      },
    ],
    [
      '[META-04] an MCP server that serves metadata in the name of somebody else',
      {
        server: { mcp: { resourceMetadata: 'none' } },
        answers: (s) => ({ [AS]: { body: { ...s.metadata(), issuer: 'https://login.example' } } }),
      },
      { code: 'issuer_mismatch', requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${PRM}`, `GET ${AS}`] },
    ],
    [
      '[PKCE-03] metadata without a word of PKCE',
      {
        answers: (s) => ({ [AS]: { body: { ...s.metadata(), code_challenge_methods_supported: null } } }),
      },
      {
        code: 'pkce_unsupported',
        requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`],
        remedy: /missing_pkce_metadata.*oauth_provider/,
      },
    ],
    [
      '[PKCE-04] OpenID metadata without a word of PKCE',
      {
        server: { metadataAt: ['openid'] },
        answers: (s) => ({ [OIDC]: { body: { ...s.metadata(), code_challenge_methods_supported: null } } }),
      },
      { code: 'pkce_unsupported', requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`, `GET ${OIDC}`] },
    ],
    [
      '[NET-01] a token endpoint over plain http',
      {
        answers: (s) => ({ [AS]: { body: { ...s.metadata(), token_endpoint: 'http://as.example/token' } } }),
      },
      { code: 'url_refused', requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[OPEN-01] a script as authorization endpoint',
      {
        answers: (s) => ({
          [AS]: { body: { ...s.metadata(), authorization_endpoint: 'javascript:alert(1)' } },
        }),
      },
      { code: 'url_refused', requests: ['POST /mcp', `GET ${PRM}/mcp`, `GET ${AS}`] },
    ],
    [
      '[OPEN-04] a challenge that names a file',
      { answers: () => ({ '/mcp': challenge('Bearer resource_metadata="file:///etc/passwd"') }) },
      { code: 'url_refused', requests: ['POST /mcp'] },
    ],
  ])('%s', async (_name, shape, { code, requests, attempts, remedy }) => {
    const { server, workbench, outcome } = await login(shape)
    const error = await failureOf<DiscoveryFailedError>(outcome)
    expect(error.code).toBe(code)
    expect(machineRequests(server.requests)).toEqual(requests)
    expect(workbench.browser.opened).toEqual([])
    if (attempts) {
      const listed = error.attempts.map(
        ({ url, status, contentType, outcome }) =>
          `${url.replace(server.origin, '')} ${status} ${contentType} → ${outcome}`,
      )
      expect(listed).toEqual(attempts)
      for (const { url } of error.attempts) expect(error.message).toContain(`  ${url} → `)
    }
    if (remedy) expect(error.remedy).toMatch(remedy)
  })

  test('a document that names a thousand authorization servers has eight of them asked', async () => {
    const { server, outcome } = await login({
      server: { mcp: { resourceMetadata: 'none' } },
      answers: (s) => ({
        [`${PRM}/mcp`]: resourceMetadata(s, {
          authorization_servers: Array.from({ length: 1000 }, (_, index) => `${s.origin}/gone-${index}`),
        }),
      }),
    })
    await expect(outcome).rejects.toMatchObject({ code: 'discovery_failed' })
    expect(server.requests.lines().filter((line) => line.includes('/gone-'))).toHaveLength(8 * 3)
  })

  test.each([
    ['resource metadata', `${PRM}/mcp`, ['POST /mcp']],
    ['server metadata', AS, ['POST /mcp', `GET ${PRM}/mcp`]],
  ])(
    '[DISC-08] 5xx at the %s stops after three tries: nothing else is tried',
    async (_what, path, before) => {
      const clock = createManualClock()
      const workbench = keep(await openWorkbench({ clock }))
      const shape = {
        server: { metadataAt: ['oauth', 'openid'] },
        answers: () => ({ [path]: { status: 503 } }),
      }
      const { server, outcome } = await login(shape as Shape, workbench)
      const failed = failureOf<LatchkeyError>(outcome)
      await clock.elapse((delay) => delay < 1_000)
      await clock.elapse((delay) => delay < 3_000)
      expect(await failed).toMatchObject({ code: 'network_failed', url: server.origin + path, status: 503 })
      expect(machineRequests(server.requests)).toEqual([...before, ...Array(3).fill(`GET ${path}`)])
    },
  )
})

describe('a sign-in is prepared within 90 s', () => {
  type Act = (workbench: Workbench, server: ServerInput) => Promise<unknown>
  const HANG: Answer = { hang: true }
  const grant: OAuthConfig = {
    grant: 'client_credentials',
    client_id: 'machine',
    client_secret: 'x'.repeat(20),
  }
  const signIn: Act = (workbench, server) => workbench.login(server)

  test.each<[string, Shape & { path: string; act?: Act; saying: RegExp }]>([
    ['at the server itself', { path: '/mcp', saying: /asking the server what it wants/ }],
    ['at its metadata', { path: `${PRM}/mcp`, saying: /looking for the authorization server/ }],
    ['at metadata of the authorization server', { path: AS, saying: /looking for the authorization server/ }],
    ['at the registration', { path: '/register', saying: /registering a client/ }],
    [
      'in a sign-in in two calls',
      {
        path: '/register',
        act: (workbench, server) =>
          workbench.latchkey.beginLogin(server, { redirectUri: 'https://app.example/callback' }),
        saying: /registering a client/,
      },
    ],
    ['with a grant', { path: AS, auth: grant, saying: /looking for the authorization server/ }],
  ])('a server that hangs %s', async (_where, { path, act = signIn, saying, ...shape }) => {
    const clock = createManualClock()
    const workbench = keep(await openWorkbench({ clock }))
    const server = await start({ ...shape, answers: () => ({ [path]: HANG }) })
    const auth = { ...(!shape.auth && { callback_port: await freePort() }), ...shape.auth }
    const failed = failureOf<LatchkeyError>(act(workbench, { name: 'demo', url: server.url, auth }))
    await expect.poll(() => server.requests.lines().some((line) => line.endsWith(path))).toBe(true)
    await clock.elapse((delay) => delay === 90_000)
    const error = await failed
    expect(error).toMatchObject({ code: 'network_failed', url: server.origin + path })
    expect(error.message).toMatch(/^demo was given up after 90 s/)
    expect(error.message).toMatch(saying)
    expect(error.remedy).toMatch(/Try again later; nothing stored was changed/)
    expect(workbench.browser.opened).toEqual([])
  })

  test('all requests and waits count together, and the callback port is free again', async () => {
    const clock = createManualClock()
    const workbench = keep(await openWorkbench({ clock }))
    const server = await start({
      server: { mcp: { resourceMetadata: 'none' } },
      answers: (s) => ({
        [`${PRM}/mcp`]: resourceMetadata(s, {
          authorization_servers: [`${s.origin}/gone`, `${s.origin}/ill`],
        }),
        [`${AS}/ill`]: { status: 503 },
      }),
    })
    const callback_port = await freePort()
    const auth = { callback_port }
    const failed = failureOf(workbench.login({ name: 'demo', url: server.url, auth }))
    await expect.poll(() => clock.delays.some((delay) => delay < 1_000)).toBe(true)
    await clock.elapse((delay) => delay === 90_000)
    expect(await failed).toMatchObject({ code: 'network_failed', url: `${server.origin}${AS}/ill` })
    expect(clock.delays.filter((delay) => delay === 90_000)).toHaveLength(1)
    const listening = createServer()
    keep({ close: async () => void listening.close() })
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject)
      listening.listen(callback_port, '127.0.0.1', resolve)
    })
  })

  test('a `fetch` that heeds no signal is not waited for either', async () => {
    const clock = createManualClock()
    const workbench = keep(await openWorkbench({ clock, platform: { fetch: () => new Promise(() => {}) } }))
    const failed = failureOf(workbench.login({ name: 'demo', url: 'https://demo.example/mcp' }))
    await clock.elapse((delay) => delay === 90_000)
    expect(await failed).toMatchObject({ code: 'network_failed', url: 'https://demo.example/mcp' })
  })

  test('a document that is to come in a minute is not waited for', async () => {
    const retryAfter = { status: 503, headers: { 'retry-after': '60' } }
    const { server, outcome } = await login({ answers: () => ({ [AS]: retryAfter }) })
    expect(await failureOf(outcome)).toMatchObject({ code: 'network_failed', status: 503 })
    expect(machineRequests(server.requests).filter((line) => line.endsWith(AS))).toHaveLength(1)
  })
})

describe('oauth_provider', () => {
  async function provider(members: (server: ScriptedAuthorizationServer) => object, auth: OAuthConfig = {}) {
    const server = await start({})
    const metadata = {
      issuer: server.issuer,
      authorization_endpoint: `${server.origin}/authorize`,
      token_endpoint: `${server.origin}/token`,
      ...members(server),
    }
    const callback_port = await freePort()
    const workbench = keep(await openWorkbench())
    const oauth_provider = { id: 'acme', display_name: 'Acme', metadata }
    return { server, workbench, auth: { callback_port, oauth_provider, ...auth } }
  }

  test('[DISC-09] sends no metadata request; without a client_id it registers where the metadata says', async () => {
    const { server, workbench, auth } = await provider(({ origin }) => ({
      registration_endpoint: `${origin}/register`,
    }))
    const status = await workbench.login({ url: server.url, auth })
    expect(status).toMatchObject({ state: 'signed_in', client_kind: 'dynamic', issuer: server.issuer })
    expect(machineRequests(server.requests)).toEqual(['POST /register', 'POST /token'])
    expect(workbench.told('server_metadata_found')).toMatchObject([{ source: 'configuration' }])
  })

  test('[RES-03] absent PKCE metadata means S256, and `resource` is the configured URL', async () => {
    const { server, workbench, auth } = await provider(({ origin }) => ({
      registration_endpoint: `${origin}/register`,
    }))
    await workbench.login({ url: `${server.url}#section`, auth })
    const [asked] = server.requests.to('/authorize')
    expect(asked?.query.get('code_challenge_method')).toBe('S256')
    expect(asked?.query.get('resource')).toBe(server.url)
    expect(parameters(server.requests.to('/token')[0]!).resource).toBe(server.url)
  })

  test('a challenge that names another server is ignored, with an event', async () => {
    const { server, workbench, auth } = await provider(({ origin }) => ({
      registration_endpoint: `${origin}/register`,
    }))
    const elsewhere = keep(await start({}))
    server.scripts.mcp = (_request, answer) =>
      answer.status === 401
        ? challenge(`Bearer resource_metadata="${elsewhere.origin}${PRM}/mcp"`)
        : undefined
    const session = await workbench.client({ acme: { url: server.url, auth } }).createSession('acme')
    await session.callTool('whoami')
    expect(workbench.told('challenge_ignored')).toEqual([
      {
        type: 'challenge_ignored',
        server: 'acme',
        resource_metadata: `${elsewhere.origin}${PRM}/mcp`,
        reason: expect.stringContaining('oauth_provider'),
      },
    ])
    expect(elsewhere.requests).toHaveLength(0)
    expect(machineRequests(server.requests).filter((line) => line.includes('.well-known'))).toEqual([])
    expect(server.toolCalls).toHaveLength(1)
  })

  test('a list without S256 is refused before any request', async () => {
    const { server, workbench, auth } = await provider(
      () => ({ code_challenge_methods_supported: ['plain'] }),
      {
        client_id: 'mine',
      },
    )
    const error = await failureOf<LatchkeyError>(workbench.login({ url: server.url, auth }))
    expect(error.code).toBe('config_invalid')
    expect(error.message).toMatch(/code_challenge_methods_supported.*S256/)
    expect(server.requests).toHaveLength(0)
  })

  test('no client_id and nowhere to register is an error that says what to create', async () => {
    const { server, workbench, auth } = await provider(() => ({}))
    const error = await failureOf<LatchkeyError>(workbench.login({ url: server.url, auth }))
    expect(error).toMatchObject({
      code: 'registration_unavailable',
      redirectUri: `http://localhost:${auth.callback_port}/callback`,
    })
    expect(server.requests).toHaveLength(0)
  })
})
