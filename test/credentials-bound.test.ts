import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { type MovingServer, SECRET, sentTo, startMovingServer } from './fixtures/moving-server.ts'
import { parameters } from './fixtures/request-log.ts'
import type { ScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { failureOf } from './fixtures/workbench.ts'

// After a good login somebody tries to get what it brought: the MCP server, which can say anything; an authorization server
// that it names; metadata that change. The first authorization server is the honest one, the second the thief's.

const opened = closedAfterEach()

async function scene(): Promise<MovingServer> {
  const started = await startMovingServer()
  opened.push(started)
  return started
}

const PRM = '/.well-known/oauth-protected-resource'
const configured = { client_id: 'mine', client_secret: SECRET }
const entryOf = ({ server, callback_port }: MovingServer, auth: OAuthConfig = {}) => ({
  name: 'demo',
  url: server.url,
  auth: { callback_port, ...auth },
})

/** Every secret that there is: what is stored, and what is configured. */
async function secretsOf({ bench }: MovingServer): Promise<string[]> {
  const secrets = (await storedLogins(bench.home)).flatMap(({ record }) =>
    [record.access_token, record.refresh_token, record.client_secret].map(String),
  )
  return [...secrets, SECRET].filter((secret) => secret !== 'undefined')
}

/** Changes members of an authorization server's metadata. */
function say(server: ScriptedAuthorizationServer, members: Record<string, unknown>): void {
  server.scripts.metadata = (_request, { body }) => ({ body: { ...(body as object), ...members } })
}

/** The MCP server publishes these documents, by path, and no others; its 401 names none. */
function publish({ server, first }: MovingServer, documents: Record<string, object | string>): void {
  const { issuer, verifyAccessToken: verify } = first
  server.protect = { kind: 'oauth', authorizationServers: [issuer], verify, resourceMetadata: 'none' }
  server.intercept = async ({ pathname }) =>
    Object.hasOwn(documents, pathname) ? { body: documents[pathname]! } : undefined
  server.requests.clear()
}

const expireToken = (all: MovingServer) => {
  all.first.expireAccessTokens()
  return changeStoredLogins(all.bench.home, expired)
}

const CLIENTS: [string, OAuthConfig][] = [
  ['a client that was registered by itself', {}],
  ['a configured client with a secret', configured],
]

describe.each(CLIENTS)('CVE-2026-104850: the login of %s', (_, auth) => {
  test.each([401, 403])('is not sent to the authorization server that a %s names', async (status) => {
    const all = await scene()
    const { bench, second } = all
    await bench.login(entryOf(all, auth))
    const secrets = await secretsOf(all)
    const session = await bench.client({ demo: entryOf(all, auth) }).createSession('demo')
    all.move()
    const named = `resource_metadata="${new URL(all.server.url).origin}${PRM}/mcp"`
    const error = status === 403 ? 'error="insufficient_scope", scope="more", ' : ''
    all.server.intercept = async ({ headers, pathname }) =>
      pathname === '/mcp' && headers.authorization
        ? { status, headers: { 'www-authenticate': `Bearer ${error}${named}` }, body: '' }
        : undefined
    await failureOf(session.callTool('whoami'))
    for (const secret of [...secrets, ...(await secretsOf(all)).slice(-1)]) {
      expect(sentTo(second)).not.toContain(secret)
    }
  })

  test('is renewed where it came from, although the metadata now say another token endpoint', async () => {
    const all = await scene()
    const { bench, first, second } = all
    await bench.login(entryOf(all, auth))
    say(first, { token_endpoint: `${second.origin}/token` })
    await expireToken(all)
    await bench.token(entryOf(all, auth))
    expect(first.requests.to('/token').map((sent) => parameters(sent).grant_type)).toEqual([
      'authorization_code',
      'refresh_token',
    ])
    expect(second.requests).toHaveLength(0)
  })

  test('is revoked where it came from, although the metadata now say another endpoint', async () => {
    const all = await scene()
    const { bench, first, second } = all
    await bench.login(entryOf(all, auth))
    say(first, { revocation_endpoint: `${second.origin}/revoke` })
    all.move()
    expect(await bench.latchkey.logout(entryOf(all, auth))).toBe('revoked')
    expect(first.requests.to('/revoke')).toHaveLength(2)
    expect(second.requests).toHaveLength(0)
  })
})

describe.each(CLIENTS)('CVE-2026-115563: after a login with %s', (_, auth) => {
  test.each([
    ['the honest issuer with a token endpoint of its own', (all: MovingServer) => all.first.issuer],
    ['an issuer beside its own origin', (all: MovingServer) => `${new URL(all.server.url).origin}/as`],
  ])('an MCP server without resource metadata serves metadata of %s', async (_what, issuerOf) => {
    const all = await scene()
    const { bench, first } = all
    await bench.login(entryOf(all, auth))
    const secrets = await secretsOf(all)
    const { origin } = new URL(all.server.url)
    const metadata = { ...first.metadata(), issuer: issuerOf(all), token_endpoint: `${origin}/token` }
    publish(all, { '/.well-known/oauth-authorization-server': metadata })
    expect(await failureOf(bench.login(entryOf(all, auth)))).toMatchObject({ code: 'issuer_mismatch' })
    expect(all.server.requests.to('/token')).toEqual([])
    for (const secret of secrets) expect(sentTo(all.server)).not.toContain(secret)
    expect(bench.browser.opened).toHaveLength(1)
  })
})

test('2025-03-26: a configured client does not follow the server to the default endpoints of its own origin', async () => {
  const all = await scene()
  const { bench } = all
  await bench.login(entryOf(all, configured))
  publish(all, { '/authorize': 'sign in here' })
  const { origin } = new URL(all.server.url)
  expect(await failureOf(bench.login(entryOf(all, configured)))).toMatchObject({
    code: 'issuer_mismatch',
    expected: all.first.issuer,
    actual: origin,
  })
  expect(all.server.requests.to('/token')).toEqual([])
  expect(bench.browser.opened).toHaveLength(1)
})

test('RFC 9700 mix-up: the code of the honest one is not sent to the token endpoint of another', async () => {
  const all = await scene()
  const { bench, first, second } = all
  await bench.login(entryOf(all))
  say(second, {
    authorization_endpoint: `${first.origin}/authorize`,
    registration_endpoint: `${first.origin}/register`,
    // What it does not announce counts all the same once it is there.
    authorization_response_iss_parameter_supported: false,
  })
  all.move()
  expect(await failureOf(bench.login(entryOf(all)))).toMatchObject({
    code: 'issuer_mismatch',
    expected: second.issuer,
    actual: first.issuer,
  })
  expect(second.requests.to('/token')).toEqual([])
})

test('resource metadata that name somebody else’s server get no token made out for it', async () => {
  const all = await scene()
  const { bench, first } = all
  await bench.login(entryOf(all))
  const victim = 'https://mcp.victim.example/mcp'
  publish(all, { [`${PRM}/mcp`]: { resource: victim, authorization_servers: [first.issuer] } })
  first.requests.clear()
  expect(await failureOf(bench.login(entryOf(all)))).toMatchObject({
    code: 'resource_mismatch',
    resource: victim,
  })
  expect(first.requests).toHaveLength(0)
  expect(bench.browser.opened).toHaveLength(1)
})

describe('the secret of a client that was registered by itself', () => {
  const confidential = { token_endpoint_auth_methods_supported: ['client_secret_basic'] }

  test('goes to no other token endpoint than it was stored with: another client is registered', async () => {
    const all = await scene()
    const { bench, first, second } = all
    say(first, confidential)
    await bench.login(entryOf(all))
    const [login] = await storedLogins(bench.home)
    const secret = String(login!.record.client_secret)
    say(first, { ...confidential, token_endpoint: `${second.origin}/token` })
    await failureOf(bench.login(entryOf(all)))
    expect(first.requests.to('/register')).toHaveLength(2)
    const proofs = second.requests.to('/token').map(({ headers, body }) => {
      const [, basic = ''] = headers.authorization?.split(' ') ?? []
      return Buffer.from(basic, 'base64').toString() + body
    })
    expect(proofs.length).toBeGreaterThan(0)
    expect(proofs.join()).not.toContain(secret)
  })

  test('is that of one account: another one registers its own', async () => {
    const all = await scene()
    const { bench, first } = all
    say(first, confidential)
    for (const account of ['jane', 'joe']) await bench.login(entryOf(all, { account }))
    expect(first.requests.to('/register')).toHaveLength(2)
    const logins = await storedLogins(bench.home)
    expect(new Set(logins.map(({ record }) => record.client_secret)).size).toBe(2)
  })
})

describe('a program with a private key', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const machine = { grant: 'client_credentials', client_id: 'mine', private_key } as const
  const entry = (all: MovingServer, more: OAuthConfig = {}) => ({
    name: 'demo',
    url: all.server.url,
    auth: { ...machine, ...more },
  })
  const audiences = ({ requests }: ScriptedAuthorizationServer) =>
    requests.to('/token').map((sent) => {
      const [, claims] = parameters(sent).client_assertion!.split('.')
      return JSON.parse(Buffer.from(claims!, 'base64url').toString()).aud
    })

  test('signs for the issuer that the metadata are of, wherever these say that the token endpoint is', async () => {
    const all = await scene()
    // The thief would pass it on to the honest one, whose token endpoint and issuer it knows.
    all.move()
    say(all.second, { token_endpoint: `${all.second.origin}/token?at=${all.first.origin}/token` })
    await failureOf(all.bench.login(entry(all)))
    expect(audiences(all.second)).toEqual([all.second.issuer])
  })

  test('signs for another audience only where the configuration says whom it is sent to', async () => {
    const all = await scene()
    const assertion_audience = `${all.first.origin}/token`
    all.move()
    expect(await failureOf(all.bench.login(entry(all, { assertion_audience })))).toMatchObject({
      code: 'config_invalid',
      key: 'auth.assertion_audience',
    })
    const bound = { assertion_audience, issuer: all.first.issuer }
    expect(await failureOf(all.bench.login(entry(all, bound)))).toMatchObject({ code: 'issuer_mismatch' })
    expect(all.second.requests.to('/token')).toEqual([])
  })

  test('shows nothing to another authorization server after its login was ended', async () => {
    const all = await scene()
    const { bench, first, second } = all
    first.scripts.token = () => ({ body: { access_token: 'of-the-machine', token_type: 'Bearer' } })
    await bench.login(entry(all))
    await bench.latchkey.logout(entry(all))
    all.move()
    for (const attempt of [bench.login(entry(all)), bench.token(entry(all))]) {
      expect(await failureOf(attempt)).toMatchObject({ code: 'issuer_mismatch', expected: first.issuer })
    }
    expect(second.requests.to('/token')).toEqual([])
  })
})
