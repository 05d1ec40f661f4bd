import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { LatchkeyError } from '../src/errors/index.ts'
import { systemClock } from '../src/node/clock.ts'
import type { OAuthConfig } from '../src/public.ts'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { type Visit, visit } from './fixtures/consent-browser.mjs'
import type { Answer } from './fixtures/loopback-server.ts'
import { createManualClock } from './fixtures/manual-clock.ts'
import { startMcpServer } from './fixtures/mcp-server.ts'
import { parameters, type RecordedRequest } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  type ScriptedAuthorizationServerOptions,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench, type WorkbenchOptions } from './fixtures/workbench.ts'

const opened = closedAfterEach()

function keep<T extends { close(): Promise<void> }>(each: T): T {
  opened.push(each)
  return each
}

async function scene(server: ScriptedAuthorizationServerOptions = {}, bench: WorkbenchOptions = {}) {
  const callback_port = await freePort()
  return {
    server: keep(await startScriptedAuthorizationServer({ mcp: {}, ...server })),
    bench: keep(await openWorkbench(bench)),
    callback_port,
    redirectUri: `http://localhost:${callback_port}/callback`,
  }
}

const PRM = '/.well-known/oauth-protected-resource/mcp'
const AS = '/.well-known/oauth-authorization-server'

describe('a cold sign-in with dynamic registration makes five requests besides the browser', () => {
  async function realServers() {
    const as = keep(await startAuthorizationServer())
    const mcp = keep(
      await startMcpServer({
        protect: { kind: 'oauth', authorizationServers: [as.issuer], verify: as.verifyAccessToken },
      }),
    )
    return { as, mcp, bench: keep(await openWorkbench()), auth: { callback_port: await freePort() } }
  }

  test('[DISC-01] [META-01] [REG-05] login', async () => {
    const { as, mcp, bench, auth } = await realServers()
    expect(await bench.login({ url: mcp.url, auth })).toMatchObject({ state: 'signed_in', refreshable: true })
    expect(bench.exchanges()).toEqual([
      'probe POST /mcp 401',
      `discovery GET ${PRM} 200`,
      `discovery GET ${AS} 200`,
      'registration POST /reg 201',
      'token POST /token 200',
    ])
    expect(mcp.requests.lines()).toEqual(['POST /mcp', `GET ${PRM}`])
    expect(as.errors).toEqual([])
  })

  test('[CHAL-01] [MCP-02] a session, whose own 401 is the probe', async () => {
    const { mcp, bench, auth } = await realServers()
    const session = await bench.client({ demo: { url: mcp.url, auth } }).createSession('demo')
    expect((await session.callTool('whoami')).content).toEqual([{ type: 'text', text: 'alice' }])
    const until = bench.exchanges().indexOf('token POST /token 200')
    expect(bench.exchanges().slice(0, until + 1)).toEqual([
      'mcp POST /mcp 401',
      `discovery GET ${PRM} 200`,
      `discovery GET ${AS} 200`,
      'registration POST /reg 201',
      'token POST /token 200',
    ])
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('the browser is opened on a short loopback URL, the whole one is told', async () => {
    const { mcp, bench, auth } = await realServers()
    await bench.login({ url: mcp.url, auth })
    const [started] = bench.told('authorization_started')
    expect(bench.browser.opened).toEqual([started?.start_url])
    expect(started?.start_url).toMatch(new RegExp(`^http://localhost:${auth.callback_port}/start/[\\w-]+$`))
    expect(new URL(started!.authorization_url).searchParams.get('code_challenge_method')).toBe('S256')
    expect((await bench.lastPage()).html).toContain('Signed in to')
  })
})

describe('a pre-registered client', () => {
  const SECRET = 's3cret/+:-_.~'

  /** Signs in, then refreshes two hours later; the requests of the authorization server. */
  async function signInAndRefresh(methods: string[] | undefined, client_secret?: string) {
    const callback_port = await freePort()
    const redirect_uris = [`http://localhost:${callback_port}/callback`]
    const server = keep(
      await startScriptedAuthorizationServer({
        mcp: {},
        clients: [{ client_id: 'my-app', redirect_uris, ...(client_secret && { client_secret }) }],
      }),
    )
    server.scripts.metadata = () => {
      const { token_endpoint_auth_methods_supported: _, ...rest } = server.metadata()
      return { body: { ...rest, ...(methods && { token_endpoint_auth_methods_supported: methods }) } }
    }
    let later = 0
    const clock = { ...systemClock, now: () => Date.now() + later }
    const bench = keep(await openWorkbench({ clock }))
    const configured = {
      url: server.url,
      auth: { client_id: 'my-app', callback_port, ...(client_secret && { client_secret }) },
    }
    await bench.login(configured)
    later = 2 * 60 * 60 * 1000
    await bench.token(configured)
    return server
  }

  function proofs(server: ScriptedAuthorizationServer) {
    return server.requests.to('/token').map((request) => {
      const { client_id, client_secret } = parameters(request)
      return { client_id, client_secret, authorization: request.headers.authorization }
    })
  }

  test('[REG-03] [PKCE-01] [RES-01] never registers, and sends PKCE, state and resource', async () => {
    const server = await signInAndRefresh(undefined, SECRET)
    expect(server.requests.to('/register')).toEqual([])
    const [authorization] = server.requests.to('/authorize')
    const [exchange, refresh] = server.requests.to('/token').map(parameters)
    const asked = Object.fromEntries(authorization!.query)
    expect(asked).toMatchObject({
      response_type: 'code',
      client_id: 'my-app',
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^[\w-]{40,}$/),
      resource: server.url,
    })
    expect(exchange).toMatchObject({ grant_type: 'authorization_code', resource: server.url })
    expect(asked.code_challenge).toBe(
      createHash('sha256').update(exchange!.code_verifier!).digest('base64url'),
    )
    expect(refresh).toMatchObject({ grant_type: 'refresh_token', resource: server.url })
  })

  const inBasic = { client_id: undefined, client_secret: undefined }
  test.each([
    [undefined, 'client_secret_basic'],
    [['client_secret_basic'], 'client_secret_basic'],
    [['client_secret_basic', 'client_secret_post'], 'client_secret_post'],
    [['client_secret_post'], 'client_secret_post'],
  ])(
    '[CLIENT-01] with a secret, at a server that lists %j, uses %s for exchange and refresh',
    async (methods, used) => {
      const server = await signInAndRefresh(methods, SECRET)
      const expected =
        used === 'client_secret_post'
          ? { client_id: 'my-app', client_secret: SECRET, authorization: undefined }
          : { ...inBasic, authorization: `Basic ${btoa('my-app:s3cret%2F%2B%3A-_.~')}` }
      expect(proofs(server)).toEqual([expected, expected])
    },
  )

  test('[CLIENT-03] without a secret sends its id alone', async () => {
    const expected = { client_id: 'my-app', client_secret: undefined, authorization: undefined }
    expect(proofs(await signInAndRefresh(['client_secret_basic', 'none']))).toEqual([expected, expected])
  })

  test('[RES-06] `resource: "off"` and a URI of its own hold for all three requests', async () => {
    for (const [resource, expected] of [
      ['off', undefined],
      ['https://api.example/v1', 'https://api.example/v1'],
    ] as const) {
      let later = 0
      const { server, bench, callback_port } = await scene(
        {},
        { clock: { ...systemClock, now: () => Date.now() + later } },
      )
      const configured = { url: server.url, auth: { resource, callback_port } }
      await bench.login(configured)
      later = 2 * 60 * 60 * 1000
      await bench.token(configured)
      expect(server.requests.to('/authorize')[0]?.query.get('resource') ?? undefined).toBe(expected)
      expect(server.requests.to('/token').map((each) => parameters(each).resource)).toEqual([
        expected,
        expected,
      ])
    }
  })
})

describe('scope', () => {
  const OFFLINE = ['offline_access', 'mcp:read']

  /** The authorization requests of a sign-in: scope and prompt. */
  async function asked(
    { challengeScope, scopesSupported }: { challengeScope?: string; scopesSupported?: string[] },
    auth: OAuthConfig = {},
    serverScopes?: string[],
    authorize?: (request: RecordedRequest, answer: Answer) => Answer | undefined,
  ) {
    const { server, bench, callback_port } = await scene({
      mcp: { ...(challengeScope && { challengeScope }), ...(scopesSupported && { scopesSupported }) },
    })
    server.scripts.metadata = () => ({
      body: { ...server.metadata(), ...(serverScopes && { scopes_supported: serverScopes }) },
    })
    if (authorize) server.scripts.authorize = authorize
    const outcome = bench.login({ url: server.url, auth: { callback_port, ...auth } })
    const error = await outcome.then(
      () => undefined,
      (reason: LatchkeyError) => reason,
    )
    const requests = server.requests
      .to('/authorize')
      .map(({ query }) => [query.get('scope'), query.get('prompt')] as const)
    return { server, bench, error, requests }
  }

  test.each([
    [
      '[SCOPE-08] configured',
      { challengeScope: 'chal', scopesSupported: ['prm'] },
      { scope: 'conf:a conf:b' },
      'conf:a conf:b',
    ],
    ['[SCOPE-01] [SCOPE-02] challenge', { challengeScope: 'chal', scopesSupported: ['prm'] }, {}, 'chal'],
    ['[SCOPE-01] resource metadata', { scopesSupported: ['prm:a', 'prm:b'] }, {}, 'prm:a prm:b'],
    ['[SCOPE-01] none: the parameter is left out', { scopesSupported: [] }, {}, null],
  ])('%s', async (_what, source, auth, expected) => {
    const { requests, server } = await asked(source, auth)
    expect(requests).toEqual([[expected, null]])
    expect(JSON.parse(server.requests.to('/register')[0]!.body).scope ?? null).toBe(expected)
  })

  test('[SCOPE-03] [SCOPE-04] scopes of the authorization server are no source', async () => {
    expect((await asked({}, {}, ['mcp:read'])).requests).toEqual([[null, null]])
  })

  test('[SCOPE-04] [SCOPE-05] offline_access is added where it is listed, once, with prompt=consent', async () => {
    expect((await asked({ scopesSupported: ['a'] }, {}, OFFLINE)).requests).toEqual([
      ['a offline_access', 'consent'],
    ])
    expect((await asked({}, { scope: 'offline_access a' }, OFFLINE)).requests).toEqual([
      ['offline_access a', 'consent'],
    ])
  })

  test('but not where it is turned off', async () => {
    const { requests } = await asked({ scopesSupported: ['a'] }, { offline_access: false }, OFFLINE)
    expect(requests).toEqual([['a', null]])
  })

  const refuseOffline = ({ query }: RecordedRequest, answer: Answer): Answer | undefined => {
    if (!query.get('scope')?.includes('offline_access')) return undefined
    const to = new URL(String(answer.headers?.location))
    to.searchParams.delete('code')
    to.searchParams.set('error', 'invalid_scope')
    return { status: 302, headers: { location: to.href } }
  }

  test('[SCOPE-06] invalid_scope earns one more try without it', async () => {
    const { requests, error } = await asked({ scopesSupported: ['a'] }, {}, OFFLINE, refuseOffline)
    expect(error).toBeUndefined()
    expect(requests).toEqual([
      ['a offline_access', 'consent'],
      ['a', null],
    ])
  })

  test('[SCOPE-06] and no second one', async () => {
    const refuseAll = (_request: RecordedRequest, answer: Answer): Answer => {
      const to = new URL(String(answer.headers?.location))
      to.searchParams.delete('code')
      to.searchParams.set('error', 'invalid_scope')
      return { status: 302, headers: { location: to.href } }
    }
    const { requests, error } = await asked({ scopesSupported: ['a'] }, {}, OFFLINE, refuseAll)
    expect(requests).toHaveLength(2)
    expect(error).toMatchObject({ code: 'authorization_refused', error: 'invalid_scope' })
    expect(error?.remedy).toContain('`auth.scope`')
  })

  test('[SCOPE-08] a scope the person configured is not dropped', async () => {
    const { requests, error } = await asked({}, { scope: 'a offline_access' }, OFFLINE, refuseOffline)
    expect(requests).toHaveLength(1)
    expect(error).toMatchObject({ code: 'authorization_refused', error: 'invalid_scope' })
  })
})

test('a scope that the registered client may not ask for gets a new client', async () => {
  const as = keep(await startAuthorizationServer())
  const mcp = keep(
    await startMcpServer({
      protect: { kind: 'oauth', authorizationServers: [as.issuer], verify: as.verifyAccessToken },
    }),
  )
  const bench = keep(await openWorkbench())
  const callback_port = await freePort()
  for (const scope of ['mcp:read', 'mcp:read', 'mcp:read mcp:write', 'mcp:write']) {
    const status = await bench.login({ url: mcp.url, auth: { callback_port, scope } })
    expect(status).toMatchObject({ state: 'signed_in', scope })
  }
  const registered = as.requests.to('/reg').map(({ body }) => JSON.parse(body).scope)
  expect(registered).toEqual(['mcp:read offline_access', 'mcp:read mcp:write offline_access'])
})

describe('the callback', () => {
  /** Signs in at a server whose redirect is altered. */
  async function answered(alter: (redirect: URL) => void) {
    const { server, bench, callback_port, redirectUri } = await scene()
    server.scripts.authorize = (_request, answer) => {
      const to = new URL(String(answer.headers?.location))
      alter(to)
      return { status: 302, headers: { location: to.href } }
    }
    const error = await failureOf<LatchkeyError & Record<string, unknown>>(
      bench.login({ name: 'demo', url: server.url, auth: { callback_port } }),
    )
    return { server, bench, error, page: await bench.lastPage(), redirectUri }
  }

  test.each<[string, (redirect: URL, issuer: string) => void]>([
    ['another server', ({ searchParams }) => searchParams.set('iss', 'https://evil.example')],
    ['[ISS-05] the issuer and a slash', ({ searchParams }, issuer) => searchParams.set('iss', `${issuer}/`)],
    ['[ISS-03] nobody, though it is advertised', ({ searchParams }) => searchParams.delete('iss')],
  ])('[ISS-02] that names %s spends no code', async (_what, alter) => {
    const { server, error, page } = await answered((url) => alter(url, url.searchParams.get('iss')!))
    expect(error.code).toBe('issuer_mismatch')
    expect(server.requests.to('/token')).toEqual([])
    expect(page.status).toBe(400)
    expect(page.html).toContain('issuer_mismatch')
  })

  test('[ISS-06] with an error and a wrong iss shows nothing of the error', async () => {
    const { bench, error, page } = await answered(({ searchParams }) => {
      searchParams.set('error', 'canary_error')
      searchParams.set('error_description', 'canary description')
      searchParams.set('iss', 'https://evil.example')
    })
    expect(error.code).toBe('issuer_mismatch')
    expect(`${page.html}${error.message}${JSON.stringify(bench.events)}`).not.toContain('canary')
  })

  test('with access_denied is a cancelled sign-in', async () => {
    const { server, error, page } = await answered(({ searchParams }) => {
      searchParams.delete('code')
      searchParams.set('error', 'access_denied')
    })
    expect(error).toMatchObject({ code: 'authorization_refused', error: 'access_denied' })
    expect(page).toMatchObject({ status: 200, html: expect.stringContaining('Sign-in cancelled') })
    expect(server.requests.to('/token')).toEqual([])
  })

  test('[REDIR-07] with another error shows it escaped', async () => {
    const { error, page } = await answered(({ searchParams }) => {
      searchParams.delete('code')
      searchParams.set('error', 'server_error')
      searchParams.set('error_description', '<script>alert(1)</script>')
    })
    expect(error).toMatchObject({ code: 'authorization_refused', error: 'server_error' })
    expect(page.status).toBe(400)
    expect(page.html).not.toContain('<script')
    expect(page.html).toContain('&#60;script&#62;alert(1)')
  })

  test('[STATE-02] with another state, or an error without state, is not ours: the real one still wins', async () => {
    const { server, bench, callback_port, redirectUri } = await scene()
    const strangers: Visit[] = []
    server.scripts.authorize = async () => {
      for (const query of ['code=stolen&state=guess', 'error=access_denied', 'code=stolen']) {
        strangers.push(await visit(`${redirectUri}?${query}`))
      }
      return undefined
    }
    expect(await bench.login({ url: server.url, auth: { callback_port } })).toMatchObject({
      state: 'signed_in',
    })
    expect(strangers.map(({ status }) => status)).toEqual([400, 400, 400])
    expect(server.requests.to('/token')).toHaveLength(1)
    expect(parameters(server.requests.to('/token')[0]!).code).not.toBe('stolen')
  })

  test('[STATE-02] a state that the server changed is never used', async () => {
    const { server, bench, callback_port } = await scene()
    server.scripts.authorize = (_request, answer) => {
      const to = new URL(String(answer.headers?.location))
      to.searchParams.set('state', `${to.searchParams.get('state')}x`)
      return { status: 302, headers: { location: to.href } }
    }
    const outcome = bench.login({ url: server.url, auth: { callback_port } }, { callbackTimeout: 150 })
    expect(await failureOf(outcome)).toMatchObject({ code: 'sign_in_timed_out' })
    expect(server.requests.to('/token')).toEqual([])
    expect((await bench.lastPage()).html).toContain('Nobody is waiting for this answer')
  })
})

describe('the page in the browser', () => {
  test('is held until the token is there', async () => {
    const { server, bench, callback_port } = await scene()
    let shown: Visit | undefined
    let shownBeforeToken: boolean | undefined
    server.scripts.token = async (_request, answer) => {
      void bench.lastPage().then((page) => {
        shown = page
      })
      // Long enough for a page that is not held: the browser is on this machine.
      await new Promise((resolve) => setTimeout(resolve, 150))
      shownBeforeToken = shown !== undefined
      return answer
    }
    await bench.login({ url: server.url, auth: { callback_port } })
    expect(shownBeforeToken).toBe(false)
    expect(await bench.lastPage()).toMatchObject({
      status: 200,
      html: expect.stringContaining('Signed in to'),
    })
  })

  test('shows a failed exchange, escaped, and not success', async () => {
    const { server, bench, callback_port } = await scene()
    server.scripts.token = () => ({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="as"' },
      body: { error: 'invalid_client', error_description: '<img src=x onerror=alert(1)>' },
    })
    const error = await failureOf<LatchkeyError>(bench.login({ url: server.url, auth: { callback_port } }))
    expect(error).toMatchObject({ code: 'token_request_refused', error: 'invalid_client', status: 401 })
    const page = await bench.lastPage()
    expect(page.status).toBe(400)
    expect(page.html).not.toContain('<img')
    expect(page.html).toContain('&#60;img src=x')
    expect(page.html).not.toContain('Signed in to')
    expect(bench.told('signed_in')).toEqual([])
  })

  test.each([
    ['HTML', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }, 'response_invalid'],
    ['a reset', { destroy: true }, 'network_failed'],
    ['a 500', { status: 500, body: { error: 'Internal Server Error' } }, 'network_failed'],
  ])(
    'a token endpoint that answers %s ends in a typed error and one request',
    async (_what, answer, code) => {
      const { server, bench, callback_port } = await scene()
      server.scripts.token = () => answer
      const error = await failureOf<LatchkeyError>(bench.login({ url: server.url, auth: { callback_port } }))
      expect(error.code).toBe(code)
      expect(server.requests.to('/token')).toHaveLength(1)
      expect((await bench.lastPage()).status).toBe(400)
    },
  )
})

describe('the person', () => {
  /** A sign-in in front of a browser that was opened and shows nothing yet. */
  async function waiting(auth: OAuthConfig = {}, options: { signal?: AbortSignal } = {}) {
    const clock = createManualClock()
    const { server, bench, callback_port, redirectUri } = await scene({}, { clock })
    const outcome = bench.login(
      { name: 'demo', url: server.url, auth: { callback_port, ...auth } },
      { openUrl: () => {}, ...options },
    )
    outcome.catch(() => {})
    await expect.poll(() => bench.told('authorization_started')).toHaveLength(1)
    const [started] = bench.told('authorization_started')
    return { clock, server, bench, outcome, redirectUri, started: started! }
  }

  test('is reminded of the redirect URI after 30 s, and can still finish', async () => {
    const { clock, bench, outcome, redirectUri, started } = await waiting()
    await clock.elapse((delay) => delay === 30_000)
    expect(bench.told('authorization_waiting')).toEqual([
      {
        type: 'authorization_waiting',
        server: 'demo',
        redirect_uri: redirectUri,
        client_kind: 'dynamic',
        elapsed: 30,
      },
    ])
    await visit(started.start_url)
    expect(await outcome).toMatchObject({ state: 'signed_in' })
  })

  test('has five minutes, and the error names the redirect URI of a pre-registered client', async () => {
    const { clock, outcome, redirectUri, started } = await waiting({ client_id: 'mine' })
    expect(started.deadline).toBe(clock.now() + 300_000)
    await clock.elapse((delay) => delay === 300_000)
    const error = await failureOf<LatchkeyError>(outcome)
    expect(error).toMatchObject({ code: 'sign_in_timed_out', seconds: 300 })
    expect(error.remedy).toContain(redirectUri)
  })

  test('can cancel, which frees the port', async () => {
    const controller = new AbortController()
    const { bench, server, outcome, redirectUri } = await waiting({}, { signal: controller.signal })
    controller.abort()
    expect(await failureOf(outcome)).toMatchObject({ code: 'sign_in_cancelled' })
    await expect
      .poll(() =>
        fetch(redirectUri).then(
          () => 'open',
          () => 'closed',
        ),
      )
      .toBe('closed')
    expect(server.requests.to('/token')).toEqual([])
    expect(bench.told('credentials_saved')).toEqual([])
  })

  test('[REG-13] is asked again by `force`, with a new client', async () => {
    const { server, bench, callback_port } = await scene()
    const configured = { url: server.url, auth: { callback_port } }
    await bench.login(configured)
    await bench.login(configured, { force: true })
    expect(server.requests.to('/register')).toHaveLength(2)
    expect(server.requests.to('/authorize').map(({ query }) => query.get('prompt'))).toEqual([null, 'login'])
  })
})
