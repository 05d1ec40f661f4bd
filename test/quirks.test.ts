import { describe, expect, test } from 'vitest'
import type { LoginStatus } from '../src/credentials/login-status.ts'
import type { LatchkeyError } from '../src/errors/index.ts'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import { parameters } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  type ScriptedAuthorizationServerOptions,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

/**
 * What providers are known to do, one row each. `handledBy` names the code: without it the row fails.
 * docs/quirks.md is this table in words.
 */

const opened = closedAfterEach()

type Server = ScriptedAuthorizationServer

interface Quirk {
  provider: string
  quirk: string
  handledBy: string
  /** The authorization server, as far as options make it so. */
  server?: ScriptedAuthorizationServerOptions
  /** The rest of its behaviour. */
  behave?: (server: Server) => void
  auth?: OAuthConfig
  /** A client that exists beforehand; goes into `auth` as well. */
  client?: { client_id: string; client_secret?: string }
  /** A client that only the server knows of beforehand. */
  known?: { client_id: string }
}

interface Tolerated extends Quirk {
  /** Requests to the token endpoint until signed in; default 1. */
  exchanges?: number
  /** Authorization requests until signed in; default 1. */
  authorizations?: number
  check?: (server: Server, status: LoginStatus) => void
}

interface Refused extends Quirk {
  code: string
  error?: object
  remedy?: RegExp
}

interface Scene {
  server: Server
  bench: Workbench
  entry: { name: string; url: string; auth: OAuthConfig }
}

async function scene({ server: options, behave, auth, client, known = client }: Quirk): Promise<Scene> {
  const callback_port = await freePort()
  const redirect_uris = [`http://localhost:${callback_port}/callback`]
  const server = await startScriptedAuthorizationServer({
    mcp: {},
    ...(known && { clients: [{ ...known, redirect_uris }] }),
    ...options,
  })
  behave?.(server)
  const bench = await openWorkbench()
  opened.push(server, bench)
  const entry = { name: 'demo', url: server.url, auth: { callback_port, ...client, ...auth } }
  return { server, bench, entry }
}

const textOf = ({ content }: { content: unknown }) => (content as { text: string }[])[0]?.text
const bodyOf = (answer: Answer) => answer.body as Record<string, unknown>

/** Changes what a good answer says, and nothing of an error. */
const changed = (change: (body: Record<string, unknown>) => object) => (_request: unknown, answer: Answer) =>
  (answer.status ?? 200) < 400 ? { ...answer, body: change(bodyOf(answer)) } : undefined

/** Metadata with some members replaced; `undefined` removes one. */
const metadata = (members: object) => (server: Server) => {
  server.scripts.metadata = (_request, { body }) => ({ body: { ...(body as object), ...members } })
}

const withToken = (change: (body: Record<string, unknown>) => object) => (server: Server) => {
  server.scripts.token = changed(change)
}

const withRegistration = (change: (body: Record<string, unknown>) => object) => (server: Server) => {
  server.scripts.registration = changed(change)
}

const BASIC_ONLY = metadata({ token_endpoint_auth_methods_supported: ['client_secret_basic'] })
const ODD_SECRET = { client_id: 'app:1', client_secret: 'a+b/c=d%20ü' }

const OFFLINE = metadata({ scopes_supported: ['offline_access'] })
const scopesAsked = (server: Server) =>
  server.requests.to('/authorize').map(({ query }) => query.get('scope'))

function redirectedWith(answer: Answer, error: string, error_description = ''): Answer {
  const to = new URL(String(answer.headers?.location))
  to.searchParams.delete('code')
  to.searchParams.set('error', error)
  to.searchParams.set('error_description', error_description)
  return { status: 302, headers: { location: to.href } }
}

/** `resource` of authorization, code exchange and refresh. */
function resourcesOf(server: Server): (string | null | undefined)[] {
  return [
    ...server.requests.to('/authorize').map(({ query }) => query.get('resource')),
    ...server.requests.to('/token').map((request) => parameters(request).resource ?? null),
  ]
}

const ENTRA =
  'AADSTS9010010: The resource parameter provided in the request does not match the requested scopes.'

const TOLERATED: Tolerated[] = [
  {
    provider: 'Microsoft Entra ID',
    quirk: 'refuses `resource` next to scopes',
    handledBy: 'auth.resource "off": flow/discover resourceToSend',
    auth: { resource: 'off' },
    behave: (server) => {
      server.scripts.authorize = ({ query }, answer) =>
        query.has('resource') ? redirectedWith(answer, 'invalid_target', ENTRA) : undefined
      server.intercept = (request) =>
        request.pathname === '/token' && parameters(request).resource !== undefined
          ? tokenError('invalid_target', ENTRA)
          : undefined
    },
    check: (server) => expect(resourcesOf(server)).toEqual([null, null, null]),
  },
  {
    provider: 'Microsoft Entra ID, Auth0',
    quirk: 'knows the server by another URI than its address',
    handledBy: 'auth.resource: flow/discover resourceToSend',
    auth: { resource: 'api://demo' },
    server: { audience: 'api://demo' },
    check: (server) => expect(resourcesOf(server)).toEqual(Array(3).fill('api://demo')),
  },
  {
    provider: 'Microsoft Entra ID, Amazon Cognito',
    quirk: '[PKCE-06] metadata does not mention PKCE',
    handledBy: 'auth.missing_pkce_metadata: flow/discover acceptsMissingPkce',
    auth: { missing_pkce_metadata: 'accept' },
    behave: metadata({ code_challenge_methods_supported: undefined }),
    check: (server, status) => {
      expect(server.requests.to('/authorize')[0]?.query.get('code_challenge_method')).toBe('S256')
      expect(status.exceptions).toEqual({ missing_pkce_metadata: 'accept' })
    },
  },
  {
    provider: 'gateways with an RFC 8414 document of their own',
    quirk: 'only the OpenID document mentions PKCE',
    handledBy: 'flow/discovery-search #server',
    server: { metadataAt: ['oauth', 'openid'] },
    behave: (server) => {
      server.scripts.metadata = ({ pathname }, answer) =>
        pathname.includes('openid')
          ? undefined
          : { body: { ...bodyOf(answer), code_challenge_methods_supported: undefined } }
    },
  },
  {
    provider: 'GitHub',
    quirk: 'form-encoded token answers',
    handledBy: 'oauth/answer membersOf',
    behave: (server) => {
      server.scripts.token = (_request, answer) => ({
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(bodyOf(answer) as Record<string, string>).toString(),
      })
    },
  },
  {
    provider: 'PHP frameworks',
    quirk: 'JSON typed as HTML',
    handledBy: 'oauth/answer membersOf',
    behave: (server) => {
      server.scripts.token = (_request, answer) => ({
        headers: { 'content-type': 'text/html' },
        body: JSON.stringify(answer.body),
      })
    },
  },
  {
    provider: 'Microsoft Entra ID (v1)',
    quirk: '`expires_in` is a string',
    handledBy: 'oauth/answer numberMember',
    behave: withToken((body) => ({ ...body, expires_in: '1800' })),
    check: (_server, { expires_at = 0 }) =>
      expect(Math.abs(expires_at - Date.now() / 1000 - 1800)).toBeLessThan(60),
  },
  {
    provider: 'GitHub, Slack',
    quirk: '`expires_in` is missing',
    handledBy: 'flow/token-set tokenMembers',
    behave: withToken(({ expires_in: _gone, ...body }) => body),
    check: (_server, status) => expect(status).not.toHaveProperty('expires_at'),
  },
  {
    provider: 'many',
    quirk: '`token_type` in upper case',
    handledBy: 'oauth4webapi, through which oauth/token-request judged leads every answer',
    behave: withToken((body) => ({ ...body, token_type: 'BEARER' })),
  },
  {
    provider: 'home-made servers',
    quirk: '`token_type` is missing',
    handledBy: 'oauth/token-request judged',
    behave: withToken(({ token_type: _gone, ...body }) => body),
  },
  {
    provider: 'Slack',
    quirk: '`token_type` is "user"',
    handledBy: 'oauth/token-request judged (recognizedTokenTypes)',
    behave: withToken((body) => ({ ...body, token_type: 'user' })),
  },
  {
    provider: 'Slack, GitHub',
    quirk: 'granted scopes separated by commas',
    handledBy: 'oauth/scope grantedScope',
    auth: { scope: 'channels:read chat:write' },
    behave: withToken((body) => ({ ...body, scope: 'channels:read,chat:write' })),
    check: (_server, { scope }) => expect(scope).toBe('channels:read chat:write'),
  },
  {
    provider: 'Slack',
    quirk: "the person's token is nested in `authed_user`",
    handledBy: 'oauth/token-request tokenMembersOf',
    behave: withToken((token) => ({ ok: true, app_id: 'A1', authed_user: { id: 'U1', ...token } })),
  },
  {
    provider: 'Java frameworks',
    quirk: '`null` members in token answers',
    handledBy: 'oauth/answer readAnswer and stringMember: the row fails without both',
    behave: withToken((body) => ({
      ...body,
      error: null,
      error_description: null,
      scope: null,
      id_token: null,
    })),
  },
  {
    provider: 'many',
    quirk: 'an `id_token` that nobody asked for and that cannot be checked',
    handledBy: 'oauth/token-request judged',
    behave: withToken((body) => ({ ...body, id_token: 'not.a.jwt' })),
  },
  {
    provider: 'archestra, Figma',
    quirk: 'advertises Basic, accepts only post (registered client)',
    handledBy: 'flow/client-proof withClientProof',
    server: { clientProof: 'post' },
    behave: BASIC_ONLY,
    exchanges: 2,
  },
  {
    provider: 'archestra',
    quirk: 'advertises Basic, accepts only post (configured client)',
    handledBy: 'flow/client-proof withClientProof',
    server: { clientProof: 'post' },
    client: { client_id: 'mine', client_secret: 'plain-secret' },
    behave: BASIC_ONLY,
    exchanges: 2,
  },
  {
    provider: 'Cloudflare Access',
    quirk: 'advertises both, accepts only Basic',
    handledBy: 'flow/client-proof withClientProof',
    server: { clientProof: 'basic' },
    client: { client_id: 'mine', client_secret: 'plain-secret' },
    exchanges: 2,
  },
  {
    provider: 'home-made servers',
    quirk: 'does not undo the encoding of Basic: UUIDs arrive as they are',
    handledBy: 'oauth/client-authentication basic (escapes less than oauth4webapi)',
    server: { clientProof: 'basic-verbatim' },
    client: { client_id: 'id-1.2_3~4', client_secret: '0b1c-_.~' },
    behave: BASIC_ONLY,
  },
  {
    provider: 'home-made servers',
    quirk: 'does not undo the encoding of Basic: a secret with + / = %',
    handledBy: 'flow/client-proof, oauth/client-authentication client_secret_basic_unencoded',
    server: { clientProof: 'basic-verbatim' },
    client: { client_id: 'app', client_secret: ODD_SECRET.client_secret },
    behave: BASIC_ONLY,
    exchanges: 2,
  },
  {
    provider: 'servers by the book',
    quirk: '[CLIENT-02] undoes the encoding of Basic (RFC 6749 §2.3.1): id and secret with : + / = %',
    handledBy: 'oauth/client-authentication basic',
    server: { clientProof: 'basic' },
    client: ODD_SECRET,
    behave: BASIC_ONLY,
  },
  {
    provider: 'servers that say 401 and nothing else',
    quirk: 'a client that is not known gets an empty 401',
    handledBy: 'flow/client-proof isAboutTheClient',
    server: { clientProof: 'post' },
    behave: (server) => {
      BASIC_ONLY(server)
      server.scripts.token = (_request, { status }) => (status === 401 ? { status: 401 } : undefined)
    },
    exchanges: 2,
  },
  {
    provider: 'Figma',
    quirk: 'registers with method `none`, wants the secret all the same',
    handledBy: 'flow/client-proof, oauth/client-authentication otherAuthenticationMethod',
    behave: (server) => {
      // The body is the client as the server keeps it.
      server.scripts.registration = (_request, answer) => {
        Object.assign(answer.body as object, { client_secret: 'wanted', token_endpoint_auth_method: 'none' })
        return undefined
      }
    },
    exchanges: 2,
  },
  {
    provider: 'Keycloak, home-made servers',
    quirk: 'registration returns a secret nobody asked for, without `client_secret_expires_at`',
    handledBy: 'oauth/client-registration processRegistration',
    behave: (server) => {
      server.scripts.registration = (_request, answer) => {
        const client = answer.body as Record<string, unknown>
        Object.assign(client, { client_secret: 'unasked', token_endpoint_auth_method: 'client_secret_post' })
        return undefined
      }
    },
    check: (server) => expect(parameters(server.requests.to('/token')[0]!).client_secret).toBe('unasked'),
  },
  {
    provider: 'many',
    quirk: 'registration answered 200',
    handledBy: 'oauth/client-registration processRegistration',
    behave: (server) => {
      server.scripts.registration = (_request, { body }) => ({ status: 200, body: body! })
    },
  },
  {
    provider: 'home-made servers',
    quirk: 'registration answers with `null` members',
    handledBy: 'oauth/answer readAnswer and stringMember: the row fails without both',
    behave: withRegistration((body) => ({
      ...body,
      client_secret: null,
      client_secret_expires_at: null,
      registration_client_uri: null,
      token_endpoint_auth_method: null,
    })),
  },
  {
    provider: 'home-made servers',
    quirk: 'registration answers with numbers as strings',
    handledBy: 'oauth/answer numberMember',
    behave: (server) => {
      BASIC_ONLY(server)
      server.scripts.registration = changed((body) => ({
        ...body,
        client_id_issued_at: String(body.client_id_issued_at),
        client_secret_expires_at: String(Math.floor(Date.now() / 1000) + 3600),
      }))
    },
  },
  {
    provider: 'home-made servers',
    quirk: 'registration answers with a number as `client_id`',
    handledBy: 'oauth/answer stringMember',
    behave: withRegistration((body) => ({ ...body, client_id: 17 })),
    known: { client_id: '17' },
  },
  {
    provider: 'Spring Authorization Server',
    quirk: 'registration fails with 500 when `grant_types` is missing',
    handledBy: 'oauth/client-registration requestRegistration',
    behave: (server) => {
      server.scripts.registration = ({ body }) =>
        (JSON.parse(body) as { grant_types?: string[] }).grant_types?.includes('authorization_code')
          ? undefined
          : { status: 500 }
    },
  },
  {
    provider: 'many',
    quirk: 'metadata with `null` members and lists that are none',
    handledBy: 'oauth/server-metadata tidy',
    behave: metadata({ jwks_uri: null, scopes_supported: 17, introspection_endpoint: 17 }),
  },
  {
    provider: 'Okta, HubSpot',
    quirk: 'lists `offline_access` and refuses it, by redirect',
    handledBy: 'flow/sign-in authorize',
    authorizations: 2,
    behave: (server) => {
      OFFLINE(server)
      server.scripts.authorize = ({ query }, answer) =>
        query.get('scope') ? redirectedWith(answer, 'invalid_scope') : undefined
    },
    check: (server) => expect(scopesAsked(server)).toEqual(['offline_access', null]),
  },
  {
    provider: 'home-made servers',
    quirk: 'lists `offline_access` and refuses it at the token endpoint',
    handledBy: 'flow/sign-in refusesScope',
    authorizations: 2,
    exchanges: 2,
    behave: (server) => {
      OFFLINE(server)
      server.scripts.token = () =>
        server.requests.to('/authorize').at(-1)?.query.get('scope')
          ? tokenError('invalid_scope', 'offline_access is not for you')
          : undefined
    },
    check: (server) => expect(scopesAsked(server)).toEqual(['offline_access', null]),
  },
]

describe('a whole login, with a refresh, although the provider', () => {
  test.each(TOLERATED)('$provider: $quirk', async (row) => {
    const { server, bench, entry } = await scene(row)
    const status = await bench.login(entry)
    expect(status.state).toBe('signed_in')
    expect(server.requests.to('/token')).toHaveLength(row.exchanges ?? 1)
    expect(bench.told('authorization_started')).toHaveLength(row.authorizations ?? 1)
    expect(server.requests.filter(({ pathname }) => pathname === '/register').length).toBeLessThanOrEqual(1)

    server.expireAccessTokens()
    const client = bench.client({ demo: entry }, { interactive: 'never' })
    const session = await client.createSession('demo')
    expect(textOf(await session.callTool('whoami'))).toBe('alice')
    // What worked at the sign-in is remembered: the refresh needs one request.
    expect(server.requests.to('/token')).toHaveLength((row.exchanges ?? 1) + 1)
    row.check?.(server, status)
  })
})

const REFUSED: Refused[] = [
  {
    provider: 'Microsoft Entra ID',
    quirk: 'refuses `resource`, by redirect: the error names the setting',
    handledBy: 'oauth/authorization-response authorizationRemedy',
    behave: (server) => {
      server.scripts.authorize = (_request, answer) => redirectedWith(answer, 'invalid_request', ENTRA)
    },
    code: 'authorization_refused',
    remedy: /`auth\.resource`.*"off"/,
  },
  {
    provider: 'Microsoft Entra ID',
    quirk: 'refuses `resource`, at the token endpoint: the error names the setting',
    handledBy: 'oauth/token-request tokenRemedy',
    behave: (server) => {
      server.scripts.token = () => tokenError('invalid_request', ENTRA)
    },
    code: 'token_request_refused',
    remedy: /`auth\.resource`.*"off"/,
  },
  {
    provider: 'Microsoft Entra ID, Amazon Cognito',
    quirk: '[PKCE-03] metadata does not mention PKCE: refused unless it is allowed',
    handledBy: 'oauth/server-metadata assertPkceSupported',
    behave: metadata({ code_challenge_methods_supported: undefined }),
    code: 'pkce_unsupported',
    remedy: /`auth\.missing_pkce_metadata` to "accept"/,
  },
  {
    provider: 'servers of old',
    quirk: '[PKCE-05] PKCE with `plain` only: refused whatever is allowed',
    handledBy: 'oauth/server-metadata assertPkceSupported',
    auth: { missing_pkce_metadata: 'accept' },
    behave: metadata({ code_challenge_methods_supported: ['plain'] }),
    code: 'pkce_unsupported',
  },
  {
    provider: 'GitHub',
    quirk: 'errors with HTTP 200, form-encoded',
    handledBy: 'oauth/token-request processTokenAnswer',
    behave: (server) => {
      server.scripts.token = () => ({
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: 'error=bad_verification_code&error_description=The+code+is+expired',
      })
    },
    code: 'token_request_refused',
    error: { error: 'bad_verification_code', status: 200 },
  },
  {
    provider: 'Slack',
    quirk: 'errors with HTTP 200 and `ok: false`',
    handledBy: 'oauth/token-request processTokenAnswer',
    behave: (server) => {
      server.scripts.token = () => ({ body: { ok: false, error: 'invalid_code' } })
    },
    code: 'token_request_refused',
    error: { error: 'invalid_code', status: 200 },
  },
  {
    provider: 'gateways',
    quirk: 'token errors with 403 and JSON',
    handledBy: 'oauth/token-request processTokenAnswer',
    behave: (server) => {
      server.scripts.token = () => ({ ...tokenError('invalid_grant', 'no'), status: 403 })
    },
    code: 'token_request_refused',
    error: { error: 'invalid_grant', status: 403 },
  },
  {
    provider: 'gateways',
    quirk: 'token errors with 403 and a page',
    handledBy: 'oauth/token-request processTokenAnswer',
    behave: (server) => {
      server.scripts.token = () => ({
        status: 403,
        headers: { 'content-type': 'text/html' },
        body: '<h1>no</h1>',
      })
    },
    code: 'response_invalid',
    error: { status: 403, contentType: 'text/html' },
  },
  {
    provider: 'gateways',
    quirk: 'token errors with an empty body',
    handledBy: 'oauth/token-request processTokenAnswer',
    behave: (server) => {
      server.scripts.token = () => ({ status: 400 })
    },
    code: 'response_invalid',
    error: { status: 400 },
  },
  {
    provider: 'all',
    quirk: 'a wrong secret: one try more, and the first error counts',
    handledBy: 'flow/client-proof preferring',
    client: { client_id: 'mine', client_secret: 'of-yesterday' },
    known: { client_id: 'mine', client_secret: 'of-today' } as { client_id: string },
    behave: (server) => {
      server.scripts.token = () =>
        server.requests.to('/token').length > 1 ? tokenError('invalid_grant', 'used up') : undefined
    },
    code: 'token_request_refused',
    error: { error: 'invalid_client', status: 401 },
  },
]

describe('an error that says what to do, when the provider', () => {
  test.each(REFUSED)('$provider: $quirk', async (row) => {
    const { server, bench, entry } = await scene(row)
    const error = await failureOf<LatchkeyError>(bench.login(entry))
    expect(error).toMatchObject({ code: row.code, ...row.error })
    if (row.remedy) expect(error.remedy).toMatch(row.remedy)
    expect(server.requests.to('/token').length).toBeLessThanOrEqual(2)
    expect((await bench.latchkey.status(entry)).state).toBe('signed_out')
  })
})

const REFRESHES: [answer: string, Answer, code: string, isKept: boolean][] = [
  ['403 with an empty body', { status: 403 }, 'response_invalid', true],
  ['401 with an empty body', { status: 401 }, 'response_invalid', true],
  ['403 with a page', { status: 403, body: '<h1>Forbidden</h1>' }, 'response_invalid', true],
  ['200 with an empty body', { status: 200 }, 'response_invalid', true],
  ['403 with invalid_grant', { status: 403, body: { error: 'invalid_grant' } }, 'login_required', false],
  ['200 with invalid_grant', { status: 200, body: { error: 'invalid_grant' } }, 'login_required', false],
]

describe('[REF-06] a refresh that is answered', () => {
  test.each(REFRESHES)('%s', async (_answer, answer, code, isKept) => {
    const { server, bench, entry } = await scene({ provider: '', quirk: '', handledBy: 'credentials/keeper' })
    await bench.login(entry)
    server.expireAccessTokens()
    server.intercept = ({ pathname }) => (pathname === '/token' ? answer : undefined)
    const opening = bench.client({ demo: entry }, { interactive: 'never' }).createSession('demo')
    expect(await failureOf(opening)).toMatchObject({ code })
    const { state } = await bench.latchkey.status(entry)
    expect(state).toBe(isKept ? 'signed_in' : 'signed_out')
  })
})

describe('a sign-in page on a host that is not the issuer', () => {
  /** Issuer on 127.0.0.1, page on localhost: the same server by another name. */
  const elsewhere: Quirk = {
    provider: 'brokers, corporate logins',
    quirk: 'authorization endpoint on another host than the issuer',
    handledBy: 'flow/authorization-host, node/loopback-listener-sign-in',
    behave: (server) => metadata({ authorization_endpoint: pageOf(server).href })(server),
  }
  const pageOf = ({ origin }: Server) => new URL(`${origin.replace('127.0.0.1', 'localhost')}/authorize`)

  test('[OPEN-06] is confirmed by the person, once, with both hosts in front of them', async () => {
    const { server, bench, entry } = await scene(elsewhere)
    const { host } = pageOf(server)
    await bench.login(entry)
    const [started] = bench.told('authorization_started')
    expect(started).toMatchObject({ needs_confirmation: true, authorization_host: host })
    // What is shown to be copied leads to the question as well.
    expect(started?.authorization_url).toBe(started?.start_url)
    const { visited } = await bench.lastPage()
    expect(visited.map(({ url }) => new URL(url).pathname.split('/')[1])).toEqual([
      'start',
      'continue',
      'authorize',
      'callback',
      'done',
    ])

    await bench.login(entry)
    expect(bench.told('authorization_started')[1]).not.toHaveProperty('needs_confirmation')
    server.expireAccessTokens()
    await bench.client({ demo: entry }, { interactive: 'never' }).createSession('demo')
    await bench.login(entry)
    expect(bench.told('authorization_started')[2]).not.toHaveProperty('needs_confirmation')
  })

  test('another host than the confirmed one is asked about again', async () => {
    const { server, bench, entry } = await scene(elsewhere)
    await bench.login(entry)
    const { port } = pageOf(server)
    metadata({ authorization_endpoint: `http://sub.localhost:${port}/authorize` })(server)
    const again = failureOf(bench.login(entry, { callbackTimeout: 1 }))
    await again
    expect(bench.told('authorization_started')[1]).toMatchObject({
      needs_confirmation: true,
      authorization_host: `sub.localhost:${port}`,
    })
  })

  test('is not asked about when the configuration names it', async () => {
    const { server, bench, entry } = await scene(elsewhere)
    const auth = { ...entry.auth, authorization_hosts: [pageOf(server).host] }
    const status = await bench.login({ ...entry, auth })
    expect(status.exceptions).toEqual({ authorization_hosts: pageOf(server).host })
    expect(bench.told('authorization_started')[0]).not.toHaveProperty('needs_confirmation')
  })

  test('is not opened when the person declines: nothing is stored', async () => {
    const { server, bench, entry } = await scene(elsewhere)
    const declining = await openWorkbench({ home: bench.home, person: { decision: 'deny' } })
    opened.push(declining)
    const error = await failureOf<LatchkeyError>(declining.login(entry))
    expect(error).toMatchObject({ code: 'sign_in_cancelled' })
    expect(error.remedy).toContain(pageOf(server).host)
    expect((await declining.lastPage()).html).toContain('Sign-in cancelled')
    expect(server.requests.to('/authorize')).toEqual([])
    expect((await bench.latchkey.status(entry)).state).toBe('signed_out')
  })

  test('is refused where nobody is there to confirm it', async () => {
    const { server, bench, entry } = await scene(elsewhere)
    const opening = bench.client({ demo: entry }, { interactive: 'never' }).createSession('demo')
    expect(await failureOf(opening)).toMatchObject({ code: 'login_required' })
    expect(server.requests.to('/authorize')).toEqual([])
  })
})
