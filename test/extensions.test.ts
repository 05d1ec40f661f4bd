import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { AuthConfig, OAuthConfig } from '../src/config/input.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, openWorkbench } from './fixtures/workbench.ts'

// What the authorization extensions of MCP ask of a client beside their grants, which have test/grants.test.ts.

const opened = closedAfterEach()

const ID_TOKEN = 'eyJhbGciOiJFUzI1NiJ9.identity-of-jane.signature-of-idp'
const ID_JAG = 'eyJhbGciOiJFUzI1NiJ9.jane-at-this-server.signature-of-idp'
const DOCUMENT = 'https://app.example.com/oauth/client.json'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** An authorization server and an identity provider that give a token to whoever asks. */
async function scene() {
  const authorizationServer = await startScriptedAuthorizationServer()
  const idp = await startScriptedAuthorizationServer()
  authorizationServer.scripts.token = () => ({
    body: { access_token: 'at', token_type: 'Bearer', expires_in: 60 },
  })
  idp.scripts.token = () => ({
    body: {
      access_token: ID_JAG,
      issued_token_type: 'urn:ietf:params:oauth:token-type:id-jag',
      token_type: 'N_A',
      expires_in: 300,
    },
  })
  const server = await startProtectedServer(authorizationServer, {
    protection: { verify: () => ({ sub: 'jane', client_id: 'any', scope: '' }) as never },
  })
  const bench = await openWorkbench({ options: { interactive: 'never' } })
  opened.push(bench, server, authorizationServer, idp)
  return { authorizationServer, idp, server, bench }
}

const tokenRequests = ({ requests }: ScriptedAuthorizationServer) => requests.to('/token').map(parameters)
const claimsOf = ({ client_assertion = '' }: Record<string, string>) =>
  JSON.parse(Buffer.from(client_assertion.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>
const idpOf = ({ issuer }: ScriptedAuthorizationServer, id_token = ID_TOKEN) => ({
  issuer,
  client_id: 'at-idp',
  id_token,
})

describe('an extension is declared where the configuration uses it', () => {
  const EXTENSIONS: [string, (idp: ScriptedAuthorizationServer) => OAuthConfig][] = [
    [
      'io.modelcontextprotocol/oauth-client-credentials',
      () => ({ grant: 'client_credentials', client_id: 'machine', client_secret: 's' }),
    ],
    ['io.modelcontextprotocol/auth/wif', () => ({ grant: 'jwt-bearer', assertion: 'a.b.c' })],
    [
      'io.modelcontextprotocol/enterprise-managed-authorization',
      (idp) => ({ grant: 'id-jag', client_id: 'machine', client_secret: 's', idp: idpOf(idp) }),
    ],
  ]

  type Sent = {
    method?: string
    params?: { capabilities?: { extensions?: object }; _meta?: Record<string, { extensions?: object }> }
  }
  const META = 'io.modelcontextprotocol/clientCapabilities'

  test.each(EXTENSIONS)(
    '[EXT-01] %s: in `initialize` of 2025, in `_meta` of every request of 2026',
    async (name, auth) => {
      const { bench, idp } = await scene()
      for (const era of ['2025', '2026'] as const) {
        const server = await startMcpServer({ era })
        opened.push(server)
        await (
          await bench.client({ demo: { url: server.url, auth: auth(idp) } }).createSession('demo')
        ).listTools()
        const sent = server.requests.flatMap(({ body }) => (body ? [JSON.parse(body) as Sent] : []))
        const declared = sent.flatMap(({ method, params }) => {
          if (era === '2026') return [params?._meta?.[META]?.extensions]
          return method === 'initialize' ? [params?.capabilities?.extensions] : []
        })
        expect(declared.length).toBeGreaterThan(0)
        expect(declared).toEqual(declared.map(() => ({ [name]: {} })))
      }
    },
  )

  test('[EXT-02] and no extension at all without one', async () => {
    const { bench } = await scene()
    const server = await startMcpServer()
    opened.push(server)
    for (const auth of [undefined, 'a-token', { client_id: 'mine' }] as AuthConfig[]) {
      await bench.client({ demo: { url: server.url, ...(auth && { auth }) } }).createSession('demo')
    }
    expect(server.requests.length).toBeGreaterThan(2)
    expect(server.requests.filter(({ body }) => body.includes('"extensions"'))).toEqual([])
  })
})

describe('enterprise-managed authorization', () => {
  test('[EMA-09] neither the ID token nor the ID-JAG is in an event, an error or a URL', async () => {
    const { authorizationServer, idp, server, bench } = await scene()
    const auth = { grant: 'id-jag', client_id: 'machine', client_secret: 's', idp: idpOf(idp) } as const
    const entry = { name: 'demo', url: server.url, auth }
    await bench.login(entry)
    authorizationServer.scripts.token = () => tokenError('invalid_grant', `no good: ${ID_JAG}`)
    const error = await failureOf(bench.login(entry))
    const urls = [...authorizationServer.requests, ...idp.requests, ...server.requests].map(
      ({ path }) => path,
    )
    const said = `${error} ${JSON.stringify([error, bench.events, urls])}`
    expect(said).not.toMatch(/identity-of-jane|jane-at-this-server|signature-of-idp/)
    // The provider authenticates the client of both requests, and each ID-JAG is sent once.
    expect(tokenRequests(idp)).toHaveLength(2)
    expect(tokenRequests(authorizationServer)).toHaveLength(2)
  })

  test('[CIMD-05] [EMA-06] a client that is not registered goes by its metadata document, with its key where it has one', async () => {
    const { authorizationServer, idp, server, bench } = await scene()
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const auth = { grant: 'id-jag', client_metadata_url: DOCUMENT, idp: idpOf(idp) } as const
    await bench.login({ url: server.url, auth })
    await bench.login({ url: server.url, auth: { ...auth, private_key } })
    const [plain, signed] = tokenRequests(authorizationServer)
    expect(plain).toMatchObject({ grant_type: JWT_BEARER, assertion: ID_JAG, client_id: DOCUMENT })
    expect(plain).not.toHaveProperty('client_secret')
    expect(claimsOf(signed!)).toMatchObject({ iss: DOCUMENT, sub: DOCUMENT, aud: authorizationServer.issuer })
    expect(authorizationServer.requests.to('/register')).toEqual([])
  })

  test('[EMA-08] an identity provider over plain http is refused before anything is sent', async () => {
    const { server, bench } = await scene()
    const idp = { issuer: 'http://idp.example', client_id: 'at-idp', id_token: ID_TOKEN }
    const auth = { grant: 'id-jag', client_id: 'machine', client_secret: 's', idp } as const
    expect(await failureOf(bench.login({ url: server.url, auth }))).toMatchObject({
      code: 'config_invalid',
      key: expect.stringContaining('idp.issuer'),
    })
    expect(server.requests).toHaveLength(0)
  })
})

test.each(['invalid_grant', 'invalid_scope', 'unauthorized_client'])(
  '[WIF-03] workload identity: %s is said as it is, after one request of one grant',
  async (error) => {
    const { authorizationServer, server, bench } = await scene()
    authorizationServer.scripts.token = () => tokenError(error, 'not for this workload')
    const auth = { grant: 'jwt-bearer', assertion: 'a.b.c' } as const
    const failure = await failureOf(bench.login({ url: server.url, auth }))
    expect(failure).toMatchObject({ code: 'token_request_refused', error })
    expect(failure.message).toContain('not for this workload')
    expect(tokenRequests(authorizationServer).map(({ grant_type }) => grant_type)).toEqual([JWT_BEARER])
    expect(bench.browser.visits).toEqual([])
  },
)

test('[CC-01] [CC-03] [CC-04] client credentials: a signed assertion says who asks, whom and until when; nothing is registered', async () => {
  const { authorizationServer, server, bench } = await scene()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const auth = { grant: 'client_credentials', client_id: 'machine', private_key, scope: 'mcp:read' } as const
  await bench.login({ url: server.url, auth })
  const [sent] = tokenRequests(authorizationServer)
  expect(sent).toEqual({
    grant_type: 'client_credentials',
    // RFC 7521 §4.2 makes it optional; some servers look the key up by it.
    client_id: 'machine',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
    scope: 'mcp:read',
    resource: server.url,
  })
  expect(claimsOf(sent!)).toMatchObject({
    iss: 'machine',
    sub: 'machine',
    aud: authorizationServer.issuer,
    jti: expect.any(String),
    iat: expect.any(Number),
    exp: expect.any(Number),
  })
  // Neither registration nor a person has a part in it.
  expect(authorizationServer.requests.lines()).toEqual([
    'GET /.well-known/oauth-authorization-server',
    'POST /token',
  ])
})

test('[CC-05] client credentials: the audience of the assertion may be another one', async () => {
  const { authorizationServer, server, bench } = await scene()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const assertion_audience = `${authorizationServer.origin}/token`
  const auth = { grant: 'client_credentials', client_id: 'machine', private_key } as const
  await bench.login({ url: server.url, auth })
  await bench.login({
    url: server.url,
    auth: { ...auth, assertion_audience, issuer: authorizationServer.issuer },
  })
  expect(tokenRequests(authorizationServer).map((sent) => claimsOf(sent).aud)).toEqual([
    authorizationServer.issuer,
    assertion_audience,
  ])
})
