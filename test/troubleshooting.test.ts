import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { DiscoveryFailedError, LatchkeyError } from '../src/errors/index.ts'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import { createManualClock } from './fixtures/manual-clock.ts'
import type { RecordedRequest } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  type ScriptedAuthorizationServerOptions,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench } from './fixtures/workbench.ts'

const opened = closedAfterEach()

interface Case {
  server?: ScriptedAuthorizationServerOptions
  arrange?: (server: ScriptedAuthorizationServer) => void
  auth?: OAuthConfig
}

interface Trouble {
  code: string
  /** What the remedy says; `{redirect_uri}` and `{port}` stand for those of the sign-in. */
  remedy: string[]
  /** `{redirect_uri}` is what the error has as data. */
  redirectUri?: true
  /** Paths of the URLs that were tried. */
  tried?: string[]
  /** Whether the person was sent to a browser. */
  browser?: true
}

async function meet({ server: options = {}, arrange, auth }: Case) {
  const server = await startScriptedAuthorizationServer({ mcp: {}, ...options })
  const bench = await openWorkbench()
  opened.push(server, bench)
  arrange?.(server)
  const callback_port = await freePort()
  const outcome = bench.login({ name: 'demo', url: server.url, auth: { callback_port, ...auth } })
  const error = await failureOf<LatchkeyError & Record<string, unknown>>(outcome)
  return {
    server,
    bench,
    error,
    port: callback_port,
    redirectUri: `http://localhost:${callback_port}/callback`,
  }
}

const PRM = '/.well-known/oauth-protected-resource'
const AS = '/.well-known/oauth-authorization-server'
const OIDC = '/.well-known/openid-configuration'
const WELL_KNOWN = [`${PRM}/mcp`, PRM, AS, OIDC]
const NOTHING: ScriptedAuthorizationServerOptions = { metadataAt: [], mcp: { resourceMetadata: 'none' } }

/** A 401 on every MCP request, and nothing to register at. */
function asksFor(challenge: string | undefined) {
  const headers: Record<string, string> = challenge === undefined ? {} : { 'www-authenticate': challenge }
  return (server: ScriptedAuthorizationServer) => {
    server.intercept = ({ pathname }) => {
      if (pathname === '/mcp') return { status: 401, headers }
      return pathname === '/register' ? { status: 404 } : undefined
    }
  }
}

/** The authorization server sends the person back with this error. */
function comesBackWith(error: string, description: string) {
  return (server: ScriptedAuthorizationServer) => {
    server.scripts.authorize = ({ query }: RecordedRequest): Answer => {
      const to = new URL(query.get('redirect_uri') ?? '')
      const answer = {
        error,
        error_description: description,
        state: query.get('state') ?? '',
        iss: server.issuer,
      }
      for (const [name, value] of Object.entries(answer)) to.searchParams.set(name, value)
      return { status: 302, headers: { location: to.href } }
    }
  }
}

const PROVIDER = ['`auth.oauth_provider.metadata`', '`client_id`']
const THREE_WAYS_OUT = [
  'register exactly this redirect URI at 127.0.0.1',
  ': {redirect_uri}\n',
  'remove `client_id`',
  '`callback_port` (now {port})',
]
const REGISTERED_BY_HAND = ['exactly this redirect URI: {redirect_uri}\n', '`auth.client_id`']

describe('each trouble has a code, data and the setting that ends it', () => {
  test.each<[string, Case, Trouble]>([
    [
      'no authorization server, the 401 names Bearer',
      { server: NOTHING, arrange: asksFor('Bearer realm="x"') },
      {
        code: 'discovery_failed',
        tried: [...WELL_KNOWN, '/register'],
        remedy: [...PROVIDER, '`auth: "<token>"`'],
      },
    ],
    [
      'no authorization server, the 401 names Basic',
      { server: NOTHING, arrange: asksFor('Basic realm="x"') },
      {
        code: 'discovery_failed',
        tried: WELL_KNOWN,
        remedy: ['`auth: basicAuth(user, password)`', ...PROVIDER],
      },
    ],
    [
      'no authorization server, the 401 names another scheme',
      { server: NOTHING, arrange: asksFor('AWS4-HMAC-SHA256 realm="x"') },
      {
        code: 'discovery_failed',
        tried: WELL_KNOWN,
        remedy: ['the scheme "aws4-hmac-sha256"', 'custom authentication', '`headers`', ...PROVIDER],
      },
    ],
    [
      'no authorization server, the 401 names nothing',
      { server: NOTHING, arrange: asksFor(undefined) },
      {
        code: 'discovery_failed',
        tried: [...WELL_KNOWN, '/register'],
        remedy: ['does not say how', '`auth: "<token>"`', '`headers`', ...PROVIDER],
      },
    ],
    [
      'an authorization server without metadata',
      { server: { metadataAt: [] } },
      { code: 'discovery_failed', tried: [`${PRM}/mcp`, AS, OIDC], remedy: PROVIDER },
    ],
    [
      '[REG-09] a redirect URI refused at registration',
      {
        arrange: ({ scripts }) => {
          scripts.registration = () => tokenError('invalid_redirect_uri', 'loopback is not allowed')
        },
      },
      {
        code: 'registration_refused',
        redirectUri: true,
        remedy: ['{redirect_uri}\n', '`redirect_uri`', '`callback_port`', '`client_id`'],
      },
    ],
    [
      'a redirect URI refused in the authorization response',
      {
        arrange: comesBackWith('invalid_request', 'redirect_uri is not registered for this client'),
        auth: { client_id: 'mine' },
      },
      { code: 'redirect_uri_refused', redirectUri: true, remedy: THREE_WAYS_OUT, browser: true },
    ],
    [
      'a redirect URI refused at the token endpoint, with HTTP 200',
      {
        arrange: ({ scripts }) => {
          scripts.token = () => ({ body: { error: 'redirect_uri_mismatch' } })
        },
      },
      { code: 'redirect_uri_refused', redirectUri: true, remedy: THREE_WAYS_OUT, browser: true },
    ],
    [
      '[REG-04] nobody registers clients',
      {
        arrange: (server) => {
          server.scripts.metadata = () => ({ body: { ...server.metadata(), registration_endpoint: null } })
        },
      },
      {
        code: 'registration_unavailable',
        redirectUri: true,
        remedy: [
          'Create an OAuth client at 127.0.0.1',
          ...REGISTERED_BY_HAND,
          '`auth.client_secret`',
          '`auth.scope`',
        ],
      },
    ],
    [
      '[REG-09] only known clients are registered',
      {
        arrange: ({ scripts }) => {
          scripts.registration = () => ({ status: 403, body: 'Forbidden' })
        },
      },
      { code: 'registration_refused', redirectUri: true, remedy: REGISTERED_BY_HAND },
    ],
    [
      'GitHub without a client_id',
      {
        auth: {
          oauth_provider: {
            metadata: {
              issuer: 'https://github.com/login/oauth',
              authorization_endpoint: 'https://github.com/login/oauth/authorize',
              token_endpoint: 'https://github.com/login/oauth/access_token',
            },
          },
        },
      },
      {
        code: 'registration_unavailable',
        redirectUri: true,
        remedy: [
          'OAuth App',
          'homepage http://localhost:{port}',
          'authorization callback URL {redirect_uri}\n',
          '`auth.scope: "repo read:user"`',
        ],
      },
    ],
    [
      'PKCE that nobody announces',
      {
        arrange: (server) => {
          server.scripts.metadata = () => ({
            body: { ...server.metadata(), code_challenge_methods_supported: null },
          })
        },
      },
      { code: 'pkce_unsupported', remedy: ['`auth.oauth_provider`'] },
    ],
    [
      'a `resource` that is refused',
      { arrange: comesBackWith('invalid_target', 'unknown resource') },
      { code: 'authorization_refused', remedy: ['`auth.resource`', '"off"'], browser: true },
    ],
    [
      'a scope that is refused',
      { arrange: comesBackWith('invalid_scope', 'no such scope'), auth: { scope: 'nonsense' } },
      { code: 'authorization_refused', remedy: ['`auth.scope`'], browser: true },
    ],
    [
      'a secret that is refused',
      {
        arrange: ({ scripts }) => {
          scripts.token = () => ({ ...tokenError('invalid_client', 'wrong secret'), status: 401 })
        },
      },
      { code: 'token_request_refused', remedy: ['`client_id` and `client_secret`'], browser: true },
    ],
  ])('%s', async (_what, trouble, expected) => {
    const { server, bench, error, port, redirectUri } = await meet(trouble)
    expect(error.code).toBe(expected.code)
    for (const part of expected.remedy) {
      expect(error.remedy).toContain(
        part.replace('{redirect_uri}', redirectUri).replace('{port}', String(port)),
      )
    }
    expect(error.message).toBe(`${error.summary}\n${error.remedy}`)
    if (expected.redirectUri) expect(error.redirectUri).toBe(redirectUri)
    if (expected.tried) {
      const { attempts } = error as unknown as DiscoveryFailedError
      expect(attempts.map(({ url }) => url)).toEqual(expected.tried.map((path) => server.origin + path))
      for (const { url, status } of attempts) expect(error.message).toContain(`  ${url} → ${status}`)
    }
    expect(bench.browser.opened).toHaveLength(expected.browser ? 1 : 0)
    expect(bench.told('credentials_saved')).toEqual([])
  })
})

test('a redirect URI that the server refuses without coming back is shown before, after 30 s and at the end', async () => {
  const clock = createManualClock()
  const server = await startScriptedAuthorizationServer({
    mcp: {},
    clients: [{ client_id: 'mine', redirect_uris: ['http://localhost:1/other'] }],
  })
  const bench = await openWorkbench({ clock })
  opened.push(server, bench)
  const callback_port = await freePort()
  const redirect_uri = `http://localhost:${callback_port}/callback`
  const outcome = bench.login({ url: server.url, auth: { client_id: 'mine', callback_port } })
  const failed = failureOf<LatchkeyError>(outcome)
  await clock.elapse((delay) => delay === 30_000)
  // The person looks at an error page of the authorization server.
  expect(await bench.lastPage()).toMatchObject({
    status: 400,
    html: expect.stringContaining('invalid_redirect_uri'),
  })
  await clock.elapse((delay) => delay === 300_000)
  const kinds = bench.events.map(({ type }) => type)
  expect(bench.told('authorization_started')).toMatchObject([{ redirect_uri, client_kind: 'pre-registered' }])
  expect(kinds.indexOf('authorization_started')).toBeLessThan(kinds.indexOf('browser_opened'))
  expect(bench.told('authorization_waiting')).toMatchObject([{ redirect_uri, client_kind: 'pre-registered' }])
  const error = await failed
  expect(error.code).toBe('sign_in_timed_out')
  expect(error.remedy).toContain(redirect_uri)
})

test('a callback port in use names port, holder and setting, before any request', async () => {
  const port = await freePort()
  const holder = createServer((socket) => socket.resume())
  await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve))
  opened.push({ close: () => new Promise((resolve) => holder.close(() => resolve())) })
  const { server, error } = await meet({ auth: { client_id: 'mine', callback_port: port } })
  expect(error).toMatchObject({ code: 'port_in_use', port })
  expect(error.remedy).toContain('`callback_port`')
  expect(error.remedy).toContain('http://localhost:<callback_port>/callback')
  if (process.platform === 'linux') expect(error.holder).toContain(`pid ${process.pid}`)
  expect(server.requests).toHaveLength(0)
})

test('an authorization server that cannot be reached is named, with the reason', async () => {
  const gone = await startScriptedAuthorizationServer()
  await gone.close()
  const { error, bench } = await meet({
    auth: {
      oauth_provider: {
        metadata: {
          issuer: gone.origin,
          authorization_endpoint: `${gone.origin}/authorize`,
          token_endpoint: `${gone.origin}/token`,
          registration_endpoint: `${gone.origin}/register`,
        },
      },
    },
  })
  expect(error).toMatchObject({ code: 'network_failed', url: `${gone.origin}/register` })
  expect(error.message).toContain(`${new URL(gone.origin).host} could not be reached (ECONNREFUSED)`)
  expect(bench.browser.opened).toEqual([])
})
