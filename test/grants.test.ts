import { generateKeyPairSync } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { AuthConfig, OAuthConfig } from '../src/config/input.ts'
import { definitionsFromText } from '../src/config/mcp-servers.ts'
import {
  type AssertionSigner,
  allowIdentityExchange,
  allowJwtBearer,
  createAssertionSigner,
} from './fixtures/assertion-grants.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { OAuthProtection } from './fixtures/mcp-protection.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { startScriptedAuthorizationServer, tokenError } from './fixtures/scripted-authorization-server.ts'
import { createShiftedClock } from './fixtures/shifted-clock.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench, type WorkbenchOptions } from './fixtures/workbench.ts'

const opened = closedAfterEach()

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const SECRET = 'a-secret-of-the-machine'
const MACHINE: AuthConfig & OAuthConfig = {
  grant: 'client_credentials',
  client_id: 'machine',
  client_secret: SECRET,
}

/** oidc-provider with a client that is a program, and nothing that a browser could do. */
function machineServer(options: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  return startAuthorizationServer({
    registration: false,
    features: { clientCredentials: { enabled: true } },
    clients: [machineClient({ client_secret: SECRET })],
    ...options,
  })
}

function machineClient(members: Record<string, unknown>) {
  return {
    client_id: 'machine',
    redirect_uris: [],
    response_types: [],
    grant_types: ['client_credentials'],
    ...members,
  }
}

interface Scene {
  authorizationServer: AuthorizationServer
  server: McpServerFixture
  bench: Workbench
}

/** Nobody is there, no browser opens, and no port may be bound: each of these would fail the test. */
async function scene(
  authorizationServer: AuthorizationServer,
  protection: Partial<OAuthProtection> = {},
  workbench: WorkbenchOptions = {},
): Promise<Scene> {
  const tools = ['read', 'write'].map((name) => ({ name, call: () => `${name} done` }))
  const server = await startProtectedServer(authorizationServer, { tools, protection })
  const bench = await openWorkbench({
    options: { interactive: 'never' },
    platform: {
      redirectReceiver: { listen: () => Promise.reject(new Error('a port was about to be bound')) },
    },
    ...workbench,
  })
  opened.push(authorizationServer, server, bench)
  return { authorizationServer, server, bench }
}

const tokenRequests = ({ authorizationServer }: Pick<Scene, 'authorizationServer'>) =>
  authorizationServer.requests.to('/token', 'POST').map(parameters)

async function callTool({ bench, server }: Scene, auth: AuthConfig, name = 'read') {
  const session = await bench.client({ demo: { url: server.url, auth } }).createSession('demo')
  return (await session.callTool(name)).content
}

const done = (name = 'read') => [{ type: 'text', text: `${name} done` }]

describe('client credentials', () => {
  test('[RES-02] [CC-01] [CC-02] a secret: one token for all calls, with resource, no browser and no port', async () => {
    const all = await scene(await machineServer(), { challengeScope: 'mcp:read' })
    expect(await callTool(all, MACHINE)).toEqual(done())
    expect(await callTool(all, MACHINE)).toEqual(done())
    expect(tokenRequests(all)).toMatchObject([
      { grant_type: 'client_credentials', resource: all.server.url, scope: 'mcp:read' },
    ])
    expect(all.bench.browser.visits).toEqual([])
    expect(all.authorizationServer.requests.to('/auth')).toEqual([])
    expect(all.bench.told('token_received')).toMatchObject([
      { grant: 'client_credentials', refreshable: true },
    ])
    expect(JSON.stringify(all.bench.events)).not.toContain(SECRET)
  })

  test.each(['ES256', 'RS256', 'PS256', 'Ed25519'] as const)(
    '[CC-02] [CC-04] a private key, %s: the assertion is for the issuer, and never the same twice',
    async (alg) => {
      const { privateKey, publicKey } =
        alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : alg === 'Ed25519'
            ? generateKeyPairSync('ed25519')
            : generateKeyPairSync('rsa', { modulusLength: 2048 })
      const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg }]
      const all = await scene(
        await machineServer({
          clients: [machineClient({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys } })],
        }),
      )
      const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      const algorithm = alg === 'PS256' ? { signing_algorithm: alg } : {}
      const auth: AuthConfig = {
        grant: 'client_credentials',
        client_id: 'machine',
        private_key,
        key_id: 'k1',
        ...algorithm,
      }
      expect(await callTool(all, auth)).toEqual(done())
      await all.bench.login({ name: 'demo', url: all.server.url, auth })
      const claims = tokenRequests(all).map(({ client_assertion = '' }) =>
        client_assertion
          .split('.')
          .slice(0, 2)
          .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString())),
      )
      expect(claims).toMatchObject([
        [
          { alg, kid: 'k1' },
          { iss: 'machine', sub: 'machine', aud: all.authorizationServer.issuer },
        ],
        [{ alg, kid: 'k1' }, {}],
      ])
      expect(claims[0]?.[1].jti).not.toBe(claims[1]?.[1].jti)
      expect(all.authorizationServer.errors).toEqual([])
    },
  )

  test('[CC-07] a key that signs with nothing the server lists: said so, and no token request', async () => {
    const all = await scene(await machineServer())
    all.authorizationServer.rewriteAnswer = ({ pathname }, { body }) =>
      pathname.startsWith('/.well-known/')
        ? { body: { ...(body as object), token_endpoint_auth_signing_alg_values_supported: ['PS256'] } }
        : undefined
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const auth: AuthConfig = { grant: 'client_credentials', client_id: 'machine', private_key }
    expect(await failureOf(callTool(all, auth))).toMatchObject({
      code: 'config_invalid',
      key: 'auth.signing_algorithm',
      message: expect.stringContaining('PS256'),
    })
    expect(tokenRequests(all)).toEqual([])
  })

  test('many requests at once, from two clients of one store, ask for one token', async () => {
    const all = await scene(await machineServer())
    const other = await openWorkbench({ home: all.bench.home, options: { interactive: 'never' } })
    opened.push(other)
    const config = { name: 'demo', url: all.server.url, auth: MACHINE }
    const fetches = [all.bench.latchkey.authorizedFetch(config), other.latchkey.authorizedFetch(config)]
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => fetches[index % 2]!(all.server.url, { method: 'DELETE' })),
    )
    expect(answers.map(({ status }) => status)).not.toContain(401)
    expect(tokenRequests(all)).toHaveLength(1)
  })

  test('[CC-08] renewed ahead of its end by running the grant again, once, without discovery', async () => {
    const clock = createShiftedClock()
    const all = await scene(
      await machineServer({ accessTokenSeconds: 600 }),
      {},
      { clock, options: { interactive: 'never' } },
    )
    const session = await all.bench
      .client({ demo: { url: all.server.url, auth: MACHINE } })
      .createSession('demo')
    all.authorizationServer.requests.clear()
    clock.pass(545_000)
    await Promise.all([session.callTool('read'), session.callTool('write'), session.callTool('read')])
    expect(all.authorizationServer.requests.lines()).toEqual(['POST /token'])
  })

  test('a token that is refused is replaced once', async () => {
    const all = await scene(await machineServer())
    const session = await all.bench
      .client({ demo: { url: all.server.url, auth: MACHINE } })
      .createSession('demo')
    all.authorizationServer.expireAccessTokens()
    expect((await session.callTool('read')).content).toEqual(done())
    expect(tokenRequests(all)).toHaveLength(2)
  })

  test('[CC-09] a fresh token that is refused as well is the end, without a person', async () => {
    const all = await scene(await machineServer(), { verify: () => undefined })
    expect(await failureOf(callTool(all, MACHINE))).toMatchObject({ code: 'credential_refused' })
    expect(tokenRequests(all)).toHaveLength(1)
  })

  test('[CC-09] a wrong secret is an error with the remedy for programs, which shows no secret', async () => {
    const all = await scene(await machineServer())
    const error = await failureOf(callTool(all, { ...MACHINE, client_secret: 'wrong-secret' }))
    expect(error).toMatchObject({
      code: 'token_request_refused',
      error: 'invalid_client',
      remedy: expect.stringContaining('client_credentials'),
    })
    expect(JSON.stringify(error)).not.toContain('wrong-secret')
    expect(tokenRequests(all)).toHaveLength(1)
  })

  test('[STEP-06] missing scope: asks once for the union; a scope that is not given is an error from then on', async () => {
    const scopes = ['mcp:read', 'mcp:write']
    const clients = [machineClient({ client_secret: SECRET, scope: 'mcp:read mcp:write' })]
    const all = await scene(await machineServer({ scopes, clients }), {
      challengeScope: 'mcp:read',
      toolScopes: { write: 'mcp:write', read: 'mcp:admin' },
    })
    const session = await all.bench
      .client({ demo: { url: all.server.url, auth: MACHINE } })
      .createSession('demo')
    expect((await session.callTool('write')).content).toEqual(done('write'))
    expect(tokenRequests(all).map(({ scope }) => scope)).toEqual(['mcp:read', 'mcp:read mcp:write'])
    for (const _ of [1, 2]) {
      expect(await failureOf(session.callTool('read'))).toMatchObject({
        code: 'insufficient_scope',
        scope: 'mcp:admin',
      })
    }
    expect(tokenRequests(all)).toHaveLength(3)
  })

  const SCOPES = ['mcp:read', 'mcp:write']
  /** A client that may have both scopes, at a server that wants the second one for `write`. */
  const scopedScene = async (protection: Partial<OAuthProtection> = {}) => {
    const clients = [machineClient({ client_secret: SECRET, scope: SCOPES.join(' ') })]
    const toolScopes = { write: 'mcp:write' }
    return scene(await machineServer({ scopes: SCOPES, clients }), { toolScopes, ...protection })
  }
  const askedScopes = (all: Scene) => tokenRequests(all).map(({ scope }) => scope)

  test('a configured scope is all that is ever asked for, whatever a 403 names', async () => {
    const all = await scopedScene()
    const auth = { ...MACHINE, scope: 'mcp:read' }
    const session = await all.bench.client({ demo: { url: all.server.url, auth } }).createSession('demo')
    for (const _ of [1, 2]) {
      expect(await failureOf(session.callTool('write'))).toMatchObject({
        code: 'insufficient_scope',
        scope: 'mcp:write',
        remedy: expect.stringContaining('auth.scope'),
      })
    }
    expect(askedScopes(all)).toEqual(['mcp:read'])
  })

  test('a configured scope is asked for at a 403 where the stored login was got with less', async () => {
    const all = await scopedScene()
    await all.bench.login({ name: 'demo', url: all.server.url, auth: { ...MACHINE, scope: 'mcp:read' } })
    const auth = { ...MACHINE, scope: SCOPES.join(' ') }
    expect(await callTool(all, auth, 'write')).toEqual(done('write'))
    expect(askedScopes(all)).toEqual(['mcp:read', 'mcp:read mcp:write'])
  })

  test('a login that was once widened is renewed with the configured scope', async () => {
    const all = await scopedScene()
    const server = { name: 'demo', url: all.server.url }
    await all.bench.login({ ...server, auth: { ...MACHINE, scope: SCOPES.join(' ') } })
    await changeStoredLogins(all.bench.home, expired)
    const narrow = { ...server, auth: { ...MACHINE, scope: 'mcp:read' } }
    await all.bench.token(narrow)
    expect(askedScopes(all)).toEqual(['mcp:read mcp:write', 'mcp:read'])
    const [login] = await storedLogins(all.bench.home)
    expect(login!.record).toMatchObject({ requested_scope: 'mcp:read', scope: 'mcp:read' })
  })

  test('a server that names another scope at every 403 gets two more requests for an operation', async () => {
    const all = await scopedScene({ challengeScope: 'mcp:read' })
    const wanted = ['mcp:write', 'mcp:admin', 'mcp:billing', 'mcp:all', 'mcp:more']
    all.server.intercept = ({ body }) => {
      if (!body.includes('"tools/call"')) return undefined
      const said = `Bearer error="insufficient_scope", scope="${wanted.shift()}"`
      return { status: 403, headers: { 'www-authenticate': said } }
    }
    const session = await all.bench
      .client({ demo: { url: all.server.url, auth: MACHINE } })
      .createSession('demo')
    for (const scope of ['mcp:admin', 'mcp:all', 'mcp:more']) {
      expect(await failureOf(session.callTool('read'))).toMatchObject({ code: 'insufficient_scope', scope })
    }
    expect(askedScopes(all)).toEqual(['mcp:read', 'mcp:read mcp:write', 'mcp:read mcp:write mcp:billing'])
  })

  test('login, token, status and logout need no person', async () => {
    const all = await scene(await machineServer())
    const config = { name: 'demo', url: all.server.url, auth: MACHINE }
    const { latchkey } = all.bench
    const options = { interactive: 'never' } as const
    expect(await latchkey.status(config, options)).toMatchObject({
      state: 'signed_out',
      grant: 'client_credentials',
    })
    const token = await all.bench.token(config, options)
    expect(await all.bench.token(config, options)).toBe(token)
    expect(tokenRequests(all)).toHaveLength(1)
    const status = await all.bench.login(config)
    expect(status).toMatchObject({
      state: 'signed_in',
      grant: 'client_credentials',
      client_id: 'machine',
      refreshable: true,
    })
    expect(status).not.toHaveProperty('redirect_uri')
    expect(tokenRequests(all)).toHaveLength(2)
    expect(await latchkey.logout(config, options)).not.toBe('not signed in')
    expect(await latchkey.logout(config, options)).toBe('not signed in')
  })

  test('a stored login of a person is not used for the grant, nor the other way round', async () => {
    const all = await scene(await machineServer())
    const config = { name: 'demo', url: all.server.url, auth: MACHINE }
    await all.bench.login(config)
    const person = { ...config, auth: { client_id: 'machine', client_secret: SECRET } }
    expect(await all.bench.latchkey.status(person)).toMatchObject({ state: 'signed_out' })
  })

  test('[EXT-01] the extension is declared to the server, beside what the program declares', async () => {
    const all = await scene(await machineServer())
    const clientCapabilities = { extensions: { 'example.com/own': {} } }
    await all.bench
      .client({ demo: { url: all.server.url, auth: MACHINE } }, { clientCapabilities })
      .createSession('demo')
    const told = all.server.requests.filter(({ body }) => body.includes('"extensions"'))
    expect(told.length).toBeGreaterThan(0)
    expect(told[0]?.body).toContain('"io.modelcontextprotocol/oauth-client-credentials":{}')
    expect(told[0]?.body).toContain('"example.com/own":{}')
  })
})

describe('the authorization server that was seen first', () => {
  test('[BIND-04] is the only one that gets the credentials; another is accepted by name only', async () => {
    const all = await scene(await machineServer())
    const config = { name: 'demo', url: all.server.url, auth: MACHINE }
    await all.bench.login(config)
    const thief = await machineServer()
    opened.push(thief)
    const verify = (token: string, resource: string) => thief.verifyAccessToken(token, resource)
    all.server.protect = { kind: 'oauth', authorizationServers: [thief.issuer], verify }
    for (const attempt of [() => callTool(all, MACHINE), () => all.bench.login(config)]) {
      expect(await failureOf(attempt())).toMatchObject({
        code: 'issuer_mismatch',
        expected: all.authorizationServer.issuer,
        actual: thief.issuer,
        remedy: expect.stringContaining('login --force'),
      })
    }
    expect(tokenRequests({ authorizationServer: thief })).toEqual([])
    await all.bench.login(config, { force: true })
    expect(await callTool(all, MACHINE)).toEqual(done())
    expect(tokenRequests({ authorizationServer: thief })).toHaveLength(1)
  })

  test('[BIND-05] is the configured one, from the first request on', async () => {
    const all = await scene(await machineServer())
    const auth = { ...MACHINE, issuer: 'https://login.example.com' }
    expect(await failureOf(callTool(all, auth))).toMatchObject({ code: 'issuer_mismatch' })
    expect(tokenRequests(all)).toEqual([])
    expect(await callTool(all, { ...MACHINE, issuer: all.authorizationServer.issuer })).toEqual(done())
  })

  test('may have no authorization endpoint and no PKCE', async () => {
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    const bench = await openWorkbench({ options: { interactive: 'never' } })
    opened.push(server, bench)
    server.scripts.metadata = () => ({
      body: { issuer: server.issuer, token_endpoint: `${server.origin}/token` },
    })
    server.scripts.token = () => ({ body: { access_token: 'x', token_type: 'Bearer', expires_in: 60 } })
    const auth = MACHINE
    expect(await bench.token({ url: server.url, auth }, { interactive: 'never' })).toBe('x')
  })
})

describe('workload identity', () => {
  async function workload(options: { singleUse?: boolean } = {}) {
    const signer = createAssertionSigner('https://cluster.example')
    const server: AuthorizationServer = await machineServer({
      clients: [machineClient({ token_endpoint_auth_method: 'none', grant_types: [JWT_BEARER] })],
      extend: (provider) => allowJwtBearer(provider, { signer, audience: () => server.issuer, ...options }),
    })
    const all = await scene(server)
    const file = join(all.bench.home, 'projected-token')
    const assertion_file = file
    return {
      ...all,
      signer,
      file,
      auth: { grant: 'jwt-bearer', client_id: 'machine', assertion_file } as const,
    }
  }
  /** As kubelet does it. */
  async function project(file: string, assertion: string) {
    await writeFile(`${file}.new`, `${assertion}\n`)
    await rename(`${file}.new`, file)
  }

  test('[WIF-01] [WIF-04] the assertion is read anew for each token, as projected files rotate', async () => {
    const all = await workload()
    const claims = { sub: 'build', aud: all.authorizationServer.issuer }
    const [first, second] = [all.signer.sign(claims), all.signer.sign(claims)]
    await project(all.file, first)
    expect(await callTool(all, all.auth)).toEqual(done())
    await project(all.file, second)
    all.authorizationServer.expireAccessTokens()
    expect(await callTool(all, all.auth)).toEqual(done())
    expect(tokenRequests(all)).toMatchObject([
      { grant_type: JWT_BEARER, assertion: first, resource: all.server.url, client_id: 'machine' },
      { grant_type: JWT_BEARER, assertion: second, resource: all.server.url },
    ])
    expect(JSON.stringify(all.bench.events)).not.toContain(first)
  })

  test.each([
    [
      'of somebody else',
      (signer: AssertionSigner) => signer.sign({ sub: 'build', aud: 'https://other.example' }),
    ],
    ['that has ended', (signer: AssertionSigner, aud: string) => signer.sign({ sub: 'build', aud, exp: 1 })],
    ['that nobody signed', () => 'e30.e30.e30'],
  ])('[WIF-03] an assertion %s is sent once, and nothing else is tried', async (_, make) => {
    const all = await workload()
    await project(all.file, make(all.signer, all.authorizationServer.issuer))
    const error = await failureOf(callTool(all, all.auth))
    expect(error).toMatchObject({
      code: 'token_request_refused',
      error: 'invalid_grant',
      remedy: expect.stringContaining('aud'),
    })
    expect(tokenRequests(all).map(({ grant_type }) => grant_type)).toEqual([JWT_BEARER])
    expect(all.bench.browser.visits).toEqual([])
  })

  test('comes from a program, which no shell takes apart, or from a variable', async () => {
    const all = await workload()
    const assertion = all.signer.sign({ sub: 'build', aud: all.authorizationServer.issuer })
    const { assertion_file: _file, ...auth } = all.auth
    const print = 'process.stdout.write(process.argv[1])'
    const assertion_command = [process.execPath, '-e', print, assertion, '$(exit 1); `false`']
    expect(await callTool(all, { ...auth, assertion_command })).toEqual(done())
    const error = await failureOf(
      callTool(all, {
        ...auth,
        client_id: 'machine',
        account: 'two',
        assertion_env: 'LATCHKEY_TEST_NO_SUCH',
      }),
    )
    expect(error).toMatchObject({ code: 'secret_unavailable', key: 'auth.assertion_env' })
  })

  test('a file that is not there is said by name, before any token request', async () => {
    const all = await workload()
    expect(await failureOf(callTool(all, all.auth))).toMatchObject({
      code: 'secret_unavailable',
      key: 'auth.assertion_file',
      message: expect.stringContaining('projected-token'),
    })
    expect(tokenRequests(all)).toEqual([])
  })

  test('[RES-02] [WIF-01] needs no client: the assertion says who asks', async () => {
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    const bench = await openWorkbench({ options: { interactive: 'never' } })
    opened.push(server, bench)
    server.scripts.token = () => ({ body: { access_token: 'x', token_type: 'Bearer', expires_in: 60 } })
    const config = { url: server.url, auth: { grant: 'jwt-bearer', assertion: 'a.b.c' } as const }
    expect(await bench.token(config, { interactive: 'never' })).toBe('x')
    expect(server.requests.to('/token').map(parameters)).toEqual([
      { grant_type: JWT_BEARER, assertion: 'a.b.c', resource: server.url },
    ])
    expect(server.requests.to('/token')[0]?.headers).not.toHaveProperty('authorization')
    expect(await bench.latchkey.status(config)).toMatchObject({ state: 'signed_in', client_kind: 'none' })
    expect(await bench.latchkey.logout(config)).toBe('unsupported')
  })

  test('all who wait for a refused assertion hear of the one request', async () => {
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    const bench = await openWorkbench()
    opened.push(server, bench)
    server.scripts.token = () => ({ ...tokenError('invalid_grant', 'no'), delay: 200 })
    const auth = { grant: 'jwt-bearer', assertion: 'a.b.c' } as const
    const fetch = bench.latchkey.authorizedFetch({ url: server.url, auth })
    const failures = await Promise.all(
      Array.from({ length: 8 }, () => failureOf(fetch(server.url, { method: 'POST', body: '{}' }))),
    )
    expect(failures.map((error) => (error as { code?: string }).code)).toEqual(
      Array(8).fill('token_request_refused'),
    )
    expect(server.requests.to('/token')).toHaveLength(1)
  })
})

describe('enterprise-managed authorization', () => {
  async function enterprise(issuedTokenType?: () => string | undefined) {
    const idp = await machineServer({
      clients: [machineClient({ client_id: 'at-idp', client_secret: 'idp-secret', grant_types: [EXCHANGE] })],
      extend: (provider, signer) =>
        allowIdentityExchange(provider, {
          signer,
          clientThere: 'machine',
          ...(issuedTokenType && { issuedTokenType }),
        }),
    })
    const { signer } = idp
    const server: AuthorizationServer = await machineServer({
      clients: [machineClient({ client_secret: SECRET, grant_types: [JWT_BEARER] })],
      extend: (provider) => allowJwtBearer(provider, { signer, audience: () => server.issuer, idJag: true }),
    })
    opened.push(idp)
    const all = await scene(server)
    const id_token = signer.sign({ sub: 'jane', aud: 'at-idp' })
    const auth: AuthConfig = {
      grant: 'id-jag',
      client_id: 'machine',
      client_secret: SECRET,
      idp: { issuer: idp.issuer, client_id: 'at-idp', client_secret: 'idp-secret', id_token },
    }
    return { ...all, idp, signer, id_token, auth }
  }
  const exchanges = (idp: AuthorizationServer) => idp.requests.to('/token', 'POST').map(parameters)

  test('[EMA-01] [EMA-02] [EMA-03] [EMA-05] [EMA-07] [EMA-10] an ID token becomes an ID-JAG for one server, and that a token; each ID-JAG is used once', async () => {
    const all = await enterprise()
    expect(await callTool(all, all.auth)).toEqual(done())
    all.authorizationServer.expireAccessTokens()
    expect(await callTool(all, all.auth)).toEqual(done())
    const asked = {
      grant_type: EXCHANGE,
      requested_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      subject_token: all.id_token,
      audience: all.authorizationServer.issuer,
      resource: all.server.url,
    }
    expect(exchanges(all.idp)).toMatchObject([asked, asked])
    const [first, second] = tokenRequests(all)
    expect(first).toMatchObject({ grant_type: JWT_BEARER, resource: all.server.url })
    expect(second?.assertion).not.toBe(first?.assertion)
    expect(all.bench.browser.visits).toEqual([])
    // What belongs to one side is never shown to the other.
    expect(JSON.stringify(all.authorizationServer.requests)).not.toContain(all.id_token)
    expect(JSON.stringify(all.idp.requests)).not.toContain(SECRET)
  })

  test('[EMA-04] another kind of token from the identity provider is not sent on', async () => {
    const all = await enterprise(() => 'urn:ietf:params:oauth:token-type:access_token')
    expect(await failureOf(callTool(all, all.auth))).toMatchObject({ code: 'response_invalid' })
    expect(tokenRequests(all)).toEqual([])
  })

  test('[EMA-11] an ID token that has ended is an error of the identity provider, asked once', async () => {
    const all = await enterprise()
    const idp = { issuer: all.idp.issuer, client_id: 'at-idp', client_secret: 'idp-secret' }
    const id_token = all.signer.sign({ sub: 'jane', aud: 'at-idp', exp: 1 })
    const auth: AuthConfig = { ...(all.auth as OAuthConfig), idp: { ...idp, id_token } }
    expect(await failureOf(callTool(all, auth))).toMatchObject({
      code: 'token_request_refused',
      error: 'invalid_grant',
      message: expect.stringContaining('identity provider'),
      remedy: expect.stringContaining('ID token'),
    })
    expect(exchanges(all.idp)).toHaveLength(1)
    expect(tokenRequests(all)).toEqual([])
  })
})

test('every configuration of docs/grants.md is accepted as it stands', async () => {
  const page = await readFile(new URL('../docs/grants.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```jsonc\n([\s\S]+?)```/g)].map(([, block = '']) => block)
  const texts = blocks.map((block) =>
    block.includes('mcpServers')
      ? block
      : `{ "mcpServers": { "a": { "url": "https://mcp.example.com", ${block} } } }`,
  )
  expect(texts).toHaveLength(5)
  const reading = { path: 'grants.md', env: {}, expansion: 'allowed', versionControlled: false } as const
  for (const text of texts) {
    const { definitions, warnings } = definitionsFromText(text, reading)
    expect(definitions).toMatchObject([{ kind: 'http', auth: { settings: { grant: expect.any(String) } } }])
    expect(warnings).toEqual([])
  }
})
