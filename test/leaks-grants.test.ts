import { generateKeyPairSync } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { AuthConfig, OAuthConfig } from '../src/config/input.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { Canaries, type Places, visible } from './fixtures/canaries.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { carried, SPELLINGS } from './fixtures/echo.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

// Secrets of programs, and servers that say what they were sent earlier: in metadata, in content types, in bytes that are no HTTP.

const opened = closedAfterEach()

function seen(own: Workbench, things: Record<string, unknown>): Places {
  const withoutPage = (event: LatchkeyEvent) =>
    event.type === 'authorization_started' ? { ...event, authorization_url: '' } : event
  const all = { events: own.events.map(withoutPage), ...things }
  return Object.assign({}, ...Object.entries(all).map(([name, value]) => visible(name, value)))
}

const GRANTS: Record<
  string,
  (canaries: Canaries, as: ScriptedAuthorizationServer) => AuthConfig & OAuthConfig
> = {
  'client credentials with a secret': (canaries) => ({
    grant: 'client_credentials',
    client_id: 'machine',
    client_secret: canaries.make('client secret'),
  }),
  'client credentials with a private key': (canaries) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    canaries.add('private key', privateKey.export({ format: 'jwk' }).d!)
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    return { grant: 'client_credentials', client_id: 'machine', private_key: pem }
  },
  'a JWT of somebody else': (canaries) => ({
    grant: 'jwt-bearer',
    client_id: 'machine',
    assertion: `${JWT_HEADER}.${canaries.make('claims')}.${canaries.make('signature')}`,
  }),
  'an ID token of an identity provider': (canaries, as) => ({
    grant: 'id-jag',
    client_id: 'machine',
    client_secret: canaries.make('client secret'),
    idp: {
      issuer: as.issuer,
      token_endpoint: `${as.issuer}/token`,
      client_id: 'at-idp',
      client_secret: canaries.make('secret at the identity provider'),
      id_token: `${JWT_HEADER}.${canaries.make('claims')}.${canaries.make('signature')}`,
    },
  }),
}
const JWT_HEADER = Buffer.from('{"alg":"ES256"}').toString('base64url')

describe.each(Object.entries(SPELLINGS))('a token endpoint that repeats its request %s', (_title, spell) => {
  test.each(Object.entries(GRANTS))('for %s', async (_name, settings) => {
    const canaries = new Canaries()
    const as: ScriptedAuthorizationServer = await startScriptedAuthorizationServer({
      mcp: {},
      intercept: (request) => void canaries.ofRequest(request),
      scripts: { token: (request) => tokenError('invalid_grant', spell(carried(request).join(' '))) },
    })
    const own = await openWorkbench({ options: { interactive: 'never' } })
    opened.push(as, own)
    const auth = settings(canaries, as)
    const fetch = own.latchkey.authorizedFetch(
      { name: 'demo', url: as.url, auth },
      { onEvent: (event) => own.events.push(event) },
    )
    const error = await failureOf(fetch(as.url, { method: 'POST', body: '{}' }))
    expect(as.requests.to('/token')).not.toEqual([])
    expect(error).toMatchObject({ code: 'token_request_refused' })
    expect(canaries.leaksIn(seen(own, { error }))).toEqual([])
  })
})

const METADATA = {
  'the place of a redirect': (secret: string, origin: string) => ({
    status: 302,
    headers: { location: `${origin}/${secret}` },
  }),
  'the type of an answer': (secret: string) => ({
    headers: { 'content-type': `application/${secret}` },
    body: '{}',
  }),
  'the address of an endpoint': (secret: string, origin: string) => ({
    body: {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/${secret}`,
      registration_endpoint: `${origin}/${secret}`,
      code_challenge_methods_supported: ['S256'],
    },
  }),
  'the name of an issuer': (secret: string, origin: string) => ({
    body: {
      issuer: `${origin}/${secret}`,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      code_challenge_methods_supported: ['S256'],
    },
  }),
}

test.each(Object.entries(METADATA))(
  'metadata that repeats a configured header in %s',
  async (_name, answer) => {
    const canaries = new Canaries()
    const secret = canaries.make('configured header')
    const as: ScriptedAuthorizationServer = await startScriptedAuthorizationServer({
      mcp: {},
      scripts: { metadata: () => answer(secret, as.origin) },
    })
    const own = await openWorkbench()
    opened.push(as, own)
    const outcome = await own
      .login({ name: 'demo', url: as.url, headers: { 'X-Api-Key': secret } })
      .catch((error: unknown) => error)
    expect(as.requests.lines().join('\n')).toContain('.well-known/oauth-authorization-server')
    expect(canaries.leaksIn(seen(own, { outcome }))).toEqual([])
  },
)

test('an answer that is no HTTP and repeats its request', async () => {
  const canaries = new Canaries()
  const secret = canaries.make('configured header')
  const server: Server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (request) =>
      socket.end(`HTTP/1.1 200 OK\r\n${request.toString().replaceAll(':', ' ')}`),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = await openWorkbench()
  opened.push({ close: () => new Promise((resolve) => server.close(() => resolve())) }, own)
  const { port } = server.address() as { port: number }
  const url = `http://127.0.0.1:${port}/mcp`
  const fetch = own.latchkey.authorizedFetch({
    name: 'demo',
    url,
    auth: false,
    headers: { 'X-Api-Key': secret },
  })
  const error = await failureOf(fetch(url, { method: 'POST', body: '{}' }))
  expect(error).toMatchObject({
    code: 'network_failed',
    message: expect.stringMatching('could not be reached'),
  })
  expect(canaries.leaksIn(seen(own, { error }))).toEqual([])
})

test('a program for a secret that is not there: its arguments are nobody else’s', async () => {
  const canaries = new Canaries()
  const as = await startScriptedAuthorizationServer({ mcp: {} })
  const own = await openWorkbench({ options: { interactive: 'never' } })
  opened.push(as, own)
  const auth = {
    grant: 'client_credentials',
    client_id: 'machine',
    client_secret_command: ['no-such-program', canaries.make('argument')],
  } satisfies AuthConfig & OAuthConfig
  const fetch = own.latchkey.authorizedFetch({ name: 'demo', url: as.url, auth })
  const error = await failureOf(fetch(as.url, { method: 'POST', body: '{}' }))
  expect(error).toMatchObject({ code: 'secret_unavailable' })
  expect(canaries.leaksIn(seen(own, { error }))).toEqual([])
})
