import { expect, test } from 'vitest'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { JsonObject } from '../ports.ts'
import { registrationKey, tokensKey } from './identity.ts'
import { decodeRegistration, decodeTokenSet, encodeRecord } from './record.ts'

const identity = { serverUrl: 'https://mcp.example.com/mcp', account: 'work', configuredClientId: null }
const tokens: TokenSet = {
  issuer: 'https://as.example',
  resource: identity.serverUrl,
  client_id: 'client',
  token_endpoint_auth_method: 'none',
  client_kind: 'dynamic',
  redirect_uri: 'http://localhost:8080/callback',
  token_endpoint: 'https://as.example/token',
  access_token: 'access',
  token_type: 'bearer',
  expires_at: 2_000_000_000,
  refresh_token: 'refresh',
  obtained_at: 1_999_996_400,
}
const registration: ClientRegistration = {
  issuer: tokens.issuer,
  redirect_uri: 'http://localhost:8080/callback',
  client_id: 'client',
  token_endpoint_auth_method: 'client_secret_basic',
  client_secret: 'shh',
  created_at: 1_999_996_400,
}

test('a login comes back as it was stored, beside the identity that found it', () => {
  const record = encodeRecord(tokensKey(identity), tokens)
  expect(record).toMatchObject({
    server_url: identity.serverUrl,
    configured_client_id: null,
    account: 'work',
    access_token: 'access',
  })
  expect(decodeTokenSet(JSON.parse(JSON.stringify(record)))).toEqual(tokens)
})

test('a registration comes back as it was stored', () => {
  const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
  expect(decodeRegistration(encodeRecord(key, registration))).toEqual(registration)
})

const key = { kty: 'EC', alg: 'ES256', crv: 'P-256', x: 'x'.repeat(43), y: 'y'.repeat(43), d: 'd'.repeat(43) }

test('[DPOP-10] a login bound to a key comes back with its key', () => {
  const bound = { ...tokens, token_type: 'dpop', dpop_key: key } as TokenSet
  expect(decodeTokenSet(encodeRecord(tokensKey(identity), bound))).toEqual(bound)
})

test('a registration for bound tokens says so', () => {
  const bound = { ...registration, dpop_bound_access_tokens: true } as const
  const where = registrationKey(identity, registration.issuer, registration.redirect_uri)
  expect(decodeRegistration(encodeRecord(where, bound))).toEqual(bound)
})

const strange: [string, JsonObject][] = [
  ['no access token', { access_token: undefined }],
  ['an access token that is none', { access_token: 17 }],
  ['null where a string must be', { token_endpoint: null }],
  ['an expiry as text', { expires_at: '2000000000' }],
  ['a token type we cannot send', { token_type: 'mac' }],
  ['a method we do not speak', { token_endpoint_auth_method: 'tls_client_auth' }],
  ['a list for a scope', { scope: ['read'] }],
  ['a bound token without its key', { token_type: 'dpop' }],
  ['a bound token with half a key', { token_type: 'dpop', dpop_key: { ...key, d: null } }],
  ['a bound token with a list for a key', { token_type: 'dpop', dpop_key: [] }],
  ['a key that nothing is bound to', { dpop_key: key }],
]
test.each(strange)('with %s it is no login', (_title, change) => {
  expect(decodeTokenSet({ ...encodeRecord(tokensKey(identity), tokens), ...change })).toBeUndefined()
})

test('what a later version added is left out, and null stands for absent', () => {
  const record = { ...encodeRecord(tokensKey(identity), tokens), colour: 'blue', refresh_token: null }
  const { refresh_token: _gone, ...rest } = tokens
  expect(decodeTokenSet(record)).toEqual(rest)
})
