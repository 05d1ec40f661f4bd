import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  allowIdentityExchange,
  allowJwtBearer,
  type Claims,
  createAssertionSigner,
} from './fixtures/assertion-grants.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { postForm, type TokenReply } from './fixtures/plain-client.ts'

// The grants that oidc-provider lacks, asked without latchkey: what they let through would prove nothing of a client.

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
const ID_JAG_TYPE = 'oauth-id-jag+jwt'
const resource = 'http://127.0.0.1:1/mcp'
const signer = createAssertionSigner('https://idp.example')
const stranger = createAssertionSigner('https://idp.example')

const clients = ['agent', 'other'].map((client_id) => ({
  client_id,
  client_secret: `secret of ${client_id}`.replaceAll(' ', '-'),
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: [JWT_BEARER, EXCHANGE],
}))

let server: AuthorizationServer
const start = async (idJag: boolean) => {
  server = await startAuthorizationServer({
    registration: false,
    features: { clientCredentials: { enabled: true } },
    clients,
    extend: (provider) => {
      allowJwtBearer(provider, { signer, audience: () => server.issuer, idJag, singleUse: true })
      allowIdentityExchange(provider, { signer, clientThere: 'agent-there' })
    },
  })
}
afterEach(() => server?.close())

const credentials = (client_id: string, client_secret = `secret-of-${client_id}`) => ({
  client_id,
  client_secret,
})
const ask = (assertion: string, form: Record<string, string> = {}): Promise<TokenReply> =>
  postForm(`${server.origin}/token`, {
    grant_type: JWT_BEARER,
    assertion,
    resource,
    ...credentials('agent'),
    ...form,
  })

describe.each([
  ['an ID-JAG', true],
  ['an assertion of a platform', false],
])('%s', (_, idJag) => {
  const type = idJag ? ID_JAG_TYPE : 'JWT'
  const good = (): Claims => ({ sub: 'jane', aud: server.issuer, client_id: 'agent', resource })
  const signed = (claims: Claims = {}, by = signer) => by.sign({ ...good(), ...claims }, type)
  beforeEach(() => start(idJag))

  test('that is as it should be is good for one token', async () => {
    const { status, body } = await ask(signed())
    expect([status, body.token_type]).toEqual([200, 'Bearer'])
    expect(server.verifyAccessToken(String(body.access_token), resource)).toMatchObject({
      client_id: 'agent',
    })
  })

  const otherwise = (claims: Claims) => () => signed(claims)
  const tampered = () => {
    const [header, , signature] = signed().split('.')
    const claims = { ...good(), iss: signer.issuer, exp: 4e9, jti: randomUUID() }
    return `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`
  }
  test.each<readonly [string, () => string]>([
    ['signed by another key', () => signed({}, stranger)],
    ['changed after it was signed', tampered],
    ['of another issuer', otherwise({ iss: 'https://elsewhere.example' })],
    ['for another server', otherwise({ aud: 'https://elsewhere.example' })],
    ['that has ended', otherwise({ exp: 1 })],
    ['without an end', otherwise({ exp: undefined })],
    ['without a jti', otherwise({ jti: undefined })],
    ...(idJag
      ? ([
          ['for another client', otherwise({ client_id: 'other' })],
          ['for another resource', otherwise({ resource: 'http://127.0.0.1:2/mcp' })],
          ['of another type', () => signer.sign(good())],
        ] as const)
      : []),
  ])('%s is refused', async (_case, make) => {
    const { status, body } = await ask(make())
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
  })

  test('used a second time is refused', async () => {
    const assertion = signed()
    expect((await ask(assertion)).status).toBe(200)
    expect((await ask(assertion)).body.error).toBe('invalid_grant')
  })

  test('of a client that does not prove who it is is refused, and still unused', async () => {
    const assertion = signed()
    expect((await ask(assertion, credentials('agent', 'wrong'))).body.error).toBe('invalid_client')
    expect((await ask(assertion)).status).toBe(200)
  })
})

describe('the exchange of an ID token for an ID-JAG', () => {
  beforeEach(() => start(true))
  const exchange = (subject_token: string, form: Record<string, string> = {}) =>
    postForm(`${server.origin}/token`, {
      grant_type: EXCHANGE,
      requested_token_type: `${TOKEN_TYPE}id-jag`,
      subject_token_type: `${TOKEN_TYPE}id_token`,
      subject_token,
      audience: 'https://there.example',
      resource,
      ...credentials('agent'),
      ...form,
    })

  test('names the person, the server, the client there and the resource', async () => {
    const { body } = await exchange(signer.sign({ sub: 'jane', aud: 'agent' }))
    expect(body).toMatchObject({ issued_token_type: `${TOKEN_TYPE}id-jag`, token_type: 'N_A' })
    expect(signer.claimsOf(String(body.access_token), ID_JAG_TYPE)).toMatchObject({
      sub: 'jane',
      aud: 'https://there.example',
      client_id: 'agent-there',
      resource,
    })
  })

  test.each([
    ['signed by another key', () => stranger.sign({ sub: 'jane', aud: 'agent' })],
    ['for another client', () => signer.sign({ sub: 'jane', aud: 'other' })],
    ['that has ended', () => signer.sign({ sub: 'jane', aud: 'agent', exp: 1 })],
  ])('an ID token %s is refused', async (_case, make) => {
    expect((await exchange(make())).body.error).toBe('invalid_grant')
  })

  test('a client that does not prove who it is is refused', async () => {
    const id_token = signer.sign({ sub: 'jane', aud: 'agent' })
    expect((await exchange(id_token, credentials('agent', 'wrong'))).body.error).toBe('invalid_client')
  })
})
