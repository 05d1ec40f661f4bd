import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { oauthProvider } from './oauth-provider.ts'

const metadata = {
  issuer: 'https://login.example.com/tenant',
  authorization_endpoint: 'https://login.example.com/authorize?tenant=1',
  token_endpoint: 'http://127.0.0.1:4444/token',
}

test('the three members are enough, and everything else is kept as it is', () => {
  expect(oauthProvider({ metadata }, 'p')).toEqual({ metadata })
  const more = { ...metadata, code_challenge_methods_supported: ['plain', 'S256'], x_vendor: { a: 1 } }
  const provider = { id: 'acme', display_name: 'Acme', metadata: more }
  expect(oauthProvider(provider, 'p')).toEqual(provider)
  expect(oauthProvider({ displayName: 'Acme', metadata }, 'p')).toEqual({ display_name: 'Acme', metadata })
})

test('members that are null are left out, as in a document copied from a server', () => {
  const provider = { metadata: { ...metadata, registration_endpoint: null, scopes_supported: null } }
  expect(oauthProvider(provider, 'p')).toEqual({ metadata })
})

test.each(['http://localhost:1/', 'http://[::1]:1/', 'http://127.9.9.9/', 'https://192.168.0.1/'])(
  '%s is a possible endpoint',
  (token_endpoint) => {
    expect(oauthProvider({ metadata: { ...metadata, token_endpoint } }, 'p').metadata.token_endpoint).toBe(
      token_endpoint,
    )
  },
)

const without = (name: keyof typeof metadata) => ({ ...metadata, [name]: undefined })

test.each([
  ['p', 'x', 'found a string'],
  ['p', [], 'found an empty array'],
  ['p.metadata', {}, 'found undefined'],
  ['p.metadata', { id: 'a', metadata: 'https://login.example.com' }, 'found a string'],
  ['p.metadata.issuer', { metadata: {} }, 'openid-configuration'],
  ['p.metadata.issuer', { metadata: without('issuer') }, 'expected a URL'],
  ['p.metadata.authorization_endpoint', { metadata: without('authorization_endpoint') }, 'expected a URL'],
  ['p.metadata.token_endpoint', { metadata: { ...metadata, token_endpoint: null } }, 'found null'],
  [
    'p.metadata.token_endpoint',
    { metadata: { ...without('token_endpoint'), tokenEndpoint: 'https://a/' } },
    'Rename "tokenEndpoint" to `token_endpoint`',
  ],
  ['p.metadata.issuer', { metadata: { ...metadata, issuer: 'https://a.example.com/?x' } }, 'query'],
  ['p.metadata.issuer', { metadata: { ...metadata, issuer: 'https://a.example.com/#' } }, 'fragment'],
  ['p.metadata.issuer', { metadata: { ...metadata, issuer: 'login.example.com' } }, 'no absolute URL'],
  [
    'p.metadata.token_endpoint',
    { metadata: { ...metadata, token_endpoint: 'http://as.example/token' } },
    'expected https',
  ],
  [
    'p.metadata.token_endpoint',
    { metadata: { ...metadata, token_endpoint: 'http://127.0.0.1.evil.example/' } },
    'expected https',
  ],
  [
    'p.metadata.token_endpoint',
    { metadata: { ...metadata, token_endpoint: 'https://u:canary@a/' } },
    'user name',
  ],
  [
    'p.metadata.authorization_endpoint',
    { metadata: { ...metadata, authorization_endpoint: 'javascript:alert(1)' } },
    '"javascript:"',
  ],
  [
    'p.metadata.authorization_endpoint',
    { metadata: { ...metadata, authorization_endpoint: 'file:///etc/passwd' } },
    '"file:"',
  ],
  ['p.metadata.revocation_endpoint', { metadata: { ...metadata, revocation_endpoint: 5 } }, 'found a number'],
  ['p.metadata.jwks_uri', { metadata: { ...metadata, jwks_uri: 'http://a.example.com/' } }, 'expected https'],
  [
    'p.metadata.code_challenge_methods_supported',
    { metadata: { ...metadata, code_challenge_methods_supported: ['plain'] } },
    'without "S256"',
  ],
  [
    'p.metadata.code_challenge_methods_supported',
    { metadata: { ...metadata, code_challenge_methods_supported: [] } },
    'without "S256"',
  ],
  [
    'p.metadata.code_challenge_methods_supported',
    { metadata: { ...metadata, code_challenge_methods_supported: 'S256' } },
    'a list of strings',
  ],
  [
    'p.metadata.scopes_supported',
    { metadata: { ...metadata, scopes_supported: 'a b' } },
    'a list of strings',
  ],
  [
    'p.metadata.authorization_response_iss_parameter_supported',
    { metadata: { ...metadata, authorization_response_iss_parameter_supported: 'yes' } },
    'true or false',
  ],
  ['p.id', { id: '', metadata }, 'found an empty string'],
  ['p.display_name', { display_name: 'a\u001b[8m', metadata }, 'control character'],
  ['p.displayName', { display_name: 'a', displayName: 'a', metadata }, 'the same key as p.display_name'],
  ['p.meta_data', { meta_data: metadata }, 'Did you mean `metadata`?'],
  ['p.issuer', metadata, 'It belongs into `metadata`'],
  ['p.colour', { colour: 1, metadata }, 'Known: id, display_name, metadata'],
])('%s in %j is refused', (key, value, message) => {
  const act = () => oauthProvider(value, 'p')
  expect(act).toThrow(ConfigInvalidError)
  expect(act).toThrow(`${key}: `)
  expect(act).toThrow(message)
  expect(act).not.toThrow('canary')
})
