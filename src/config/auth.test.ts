// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are what is tested
import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { authMethod } from './auth.ts'

function failure(value: unknown): ConfigInvalidError {
  try {
    authMethod(value, 'auth')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigInvalidError)
    return error as ConfigInvalidError
  }
  throw new Error('was accepted')
}

const settings = (value: object) => {
  const method = authMethod(value, 'auth')
  return method.method === 'oauth' ? method.settings : method
}

test('false is no authentication', () => {
  expect(authMethod(false, 'auth')).toEqual({ method: 'none' })
})

test.each([
  ['abc.DEF-1_2~+/==', 'abc.DEF-1_2~+/=='],
  ['12|sanctum:token', '12|sanctum:token'],
  [' abc\n', 'abc'],
  ['Bearer abc', 'abc'],
  ['bearer  abc', 'abc'],
  ['bearerabc', 'bearerabc'],
])('the string %j is the bearer token %j', (value, token) => {
  expect(authMethod(value, 'auth')).toEqual({ method: 'bearer', token })
})

test.each([
  ['undefined', undefined, 'found undefined'],
  ['null', null, 'found null'],
  ['an empty string', '', 'found an empty string'],
  ['white space', ' \n', 'found only white space'],
  ['an empty object', {}, 'found an empty object'],
  ['an object of nothing but undefined', { client_id: undefined, scope: undefined }, 'nothing but undefined'],
  ['a reference', '${API_KEY}', 'was not replaced'],
  ['a scheme and a reference', 'Bearer ${API_KEY}', 'was not replaced'],
  ['a scheme alone', 'Bearer ', 'no token'],
  ['a template of an unset variable', `${undefined}`, 'no token'],
  ['a template with a scheme', `Bearer ${undefined}`, 'no token'],
])('an unset variable is an error, not a browser: %s', (_, value, message) => {
  const error = failure(value)
  expect(error.key).toBe('auth')
  expect(error.message).toContain(message)
  expect(error.remedy).toContain('Is a variable not set?')
})

test.each([
  ['true', true, 'found true'],
  ['a number', 7, 'found a number'],
  ['a list', ['t'], 'found an array'],
  ['headers without the factory', new Headers({ a: 'b' }), 'found a Headers'],
  ['a promise', Promise.resolve('t'), 'Await it'],
  ['the name of a method', 'oauth', 'no token'],
  ['the name of a method in capitals', 'None', 'no token'],
  ['another scheme', 'Basic canary', 'basicAuth(user, password)'],
  ['a token of two lines', 'can\nary', 'white space'],
  ['a token outside ASCII', 'tökén', 'outside ASCII'],
])('%s is refused', (_, value, message) => {
  const error = failure(value)
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('canary')
})

test('functions and objects with sign() are custom', async () => {
  const request = new Request('https://a.example.com/')
  const signed = new Request('https://b.example.com/')
  const byFunction = authMethod(() => signed, 'auth')
  expect(byFunction).toMatchObject({ method: 'custom', label: 'custom' })

  class Signer {
    readonly label = 'hmac'
    readonly result = signed
    async sign(given: Request) {
      expect(given).toBe(request)
      return this.result
    }
  }
  const byObject = authMethod(new Signer(), 'auth')
  expect(byObject).toMatchObject({ method: 'custom', label: 'hmac' })
  if (byObject.method !== 'custom') throw new Error('not custom')
  expect(await byObject.sign(request)).toBe(signed)
})

test('a label that is no text is refused', () => {
  expect(failure({ sign: (request: Request) => request, label: 1 }).key).toBe('auth.label')
})

test('every setting, in snake_case and in camelCase', () => {
  const expected = {
    client_id: 'id',
    client_secret: 'se cret',
    scope: 'a b',
    callback_port: 3118,
    redirect_uri: 'http://127.0.0.1:3118/oauth/callback',
    client_metadata_url: 'https://app.example.com/client.json',
    resource: 'api://abc',
    account: 'work',
    offline_access: false,
    missing_pkce_metadata: 'accept',
    private_addresses: 'accept',
    dpop: true,
    authorization_hosts: ['login.example.com', 'login.example.com:8443'],
  }
  expect(settings(expected)).toEqual(expected)
  const camelCase = Object.fromEntries(
    Object.entries(expected).map(([key, value]) => [key.replace(/_(.)/g, (_, c) => c.toUpperCase()), value]),
  )
  expect(Object.keys(camelCase)).toContain('clientMetadataUrl')
  expect(settings(camelCase)).toEqual(expected)
})

test.each([
  [
    { CLIENT_ID: 'id', CLIENT_SECRET: 's', scopes: ['a', 'b c'] },
    { client_id: 'id', client_secret: 's', scope: 'a b c' },
  ],
  [
    { clientId: 'id', callbackPort: 3118 },
    { client_id: 'id', callback_port: 3118 },
  ],
  [{ scope: '  a   b ' }, { scope: 'a b' }],
  [{ scope: 'repo,user' }, { scope: 'repo,user' }],
  [{ resource: 'off' }, { resource: 'off' }],
  [{ resource: 'https://a.example.com' }, { resource: 'https://a.example.com' }],
  [{ redirect_uri: 'http://localhost:1/' }, { redirect_uri: 'http://localhost:1/' }],
  [{ redirect_uri: 'http://[::1]:65535/a/b' }, { redirect_uri: 'http://[::1]:65535/a/b' }],
  [{ authorization_hosts: ['LOGIN.Example.com'] }, { authorization_hosts: ['login.example.com'] }],
])('%j', (value, expected) => {
  expect(settings(value)).toEqual(expected)
})

test.each([
  // the key, what is found, what is expected, the nearest known key
  [{ client_idd: 'x' }, 'auth.client_idd', 'Did you mean `client_id`?'],
  [{ clientID: 'x' }, 'auth.clientID', 'Did you mean `client_id`?'],
  [{ secret: 'canary' }, 'auth.secret', 'Did you mean `client_secret`?'],
  [{ port: 8080 }, 'auth.port', 'Did you mean `callback_port`?'],
  [{ colour: 'red' }, 'auth.colour', 'Known: client_id, client_secret, scope'],
  [{ token: 'canary' }, 'auth.token', 'the value itself'],
  [{ username: 'u', password: 'canary' }, 'auth.username', 'basicAuth'],
  [{ token_endpoint: 'https://a/' }, 'auth.token_endpoint', 'oauth_provider.metadata'],
  [{ authServerMetadataUrl: 'https://a/' }, 'auth.authServerMetadataUrl', 'oauth_provider.metadata'],
  [JSON.parse('{"__proto__":{"client_id":"x"}}'), 'auth.__proto__', 'Known:'],
  [{ constructor: 'x' }, 'auth.constructor', 'unknown key'],
  [{ 'a\u001b[8m': 'x' }, 'auth["a\\u001b[8m"]', 'unknown key'],
  [{ client_id: 'a', clientId: 'a' }, 'auth.clientId', 'the same setting as auth.client_id'],
  [{ CLIENT_ID: 'a', client_id: 'a' }, 'auth.client_id', 'the same setting as auth.CLIENT_ID'],
  [{ scope: 'a', scopes: ['a'] }, 'auth.scopes', 'Keep `scope`'],
  [{ client_id: undefined, scope: 'a' }, 'auth.client_id', 'Is a variable not set?'],
  [{ client_id: 'a', client_secret: null }, 'auth.client_secret', 'found null'],
  [{ client_id: '' }, 'auth.client_id', 'found an empty string'],
  [{ client_id: 5 }, 'auth.client_id', 'found a number, expected a non-empty string'],
  [{ client_id: 'undefined' }, 'auth.client_id', 'Is a variable not set?'],
  [{ client_id: '${ID}' }, 'auth.client_id', 'not replaced'],
  [{ client_id: 'a', client_secret: 'canary\n' }, 'auth.client_secret', 'line end'],
  [{ client_secret: 'canary' }, 'auth.client_secret', 'without auth.client_id'],
  [
    { callback_port: '8080' },
    'auth.callback_port',
    'found a string, expected a whole number from 1 to 65535',
  ],
  [{ callback_port: 0 }, 'auth.callback_port', 'found 0'],
  [{ callback_port: 65536 }, 'auth.callback_port', 'found 65536'],
  [{ callback_port: 80.5 }, 'auth.callback_port', 'found 80.5'],
  [{ callback_port: Number.NaN }, 'auth.callback_port', 'found NaN'],
  [{ scope: '' }, 'auth.scope', 'found an empty string'],
  [{ scope: [] }, 'auth.scope', 'at least one scope'],
  [{ scope: ['a', 1] }, 'auth.scope[1]', 'found a number'],
  [{ scope: 'a "b"' }, 'auth.scope', 'no scope'],
  [{ scope: 'a\tb' }, 'auth.scope', 'control character'],
  [{ missing_pkce_metadata: true }, 'auth.missing_pkce_metadata', '"accept"'],
  [{ private_addresses: 'yes' }, 'auth.private_addresses', '"accept"'],
  [{ offline_access: 'false' }, 'auth.offline_access', 'true or false'],
  [{ dpop: 'auto' }, 'auth.dpop', 'true or false'],
  [{ resource: 'mcp' }, 'auth.resource', 'absolute URI'],
  [{ resource: 'https://a.example.com/#' }, 'auth.resource', 'without "#…"'],
  [
    { client_metadata_url: 'https://u:canary@a.example.com/c' },
    'auth.client_metadata_url',
    'user name or password',
  ],
  [{ authorization_hosts: 'a.example.com' }, 'auth.authorization_hosts', 'a list of host names'],
  [{ authorization_hosts: [] }, 'auth.authorization_hosts', 'an empty array'],
  [{ authorization_hosts: ['https://a.example.com'] }, 'auth.authorization_hosts[0]', 'Without scheme'],
  [{ authorization_hosts: ['a', 'b/c'] }, 'auth.authorization_hosts[1]', 'no host name'],
  [{ authorization_hosts: ['u@b'] }, 'auth.authorization_hosts[0]', 'no host name'],
  [{ redirect_uri: 'http://localhost:3118/cb', callback_port: 8080 }, 'auth.callback_port', 'has port 3118'],
])('%j is refused at %s', (value, key, message) => {
  const error = failure(value)
  expect(error.key).toBe(key)
  expect(error.message).toContain(`${key}: `)
  expect(error.message).toContain(message)
  expect(error.message).not.toContain('canary')
})

test.each([
  'http://a.example.com/c',
  'https://a.example.com',
  'https://a.example.com/',
  'https://a.example.com/c#x',
])('[CIMD-03] the client_metadata_url %s is refused', (client_metadata_url) => {
  expect(failure({ client_metadata_url }).key).toBe('auth.client_metadata_url')
})

test('a redirect_uri that agrees with callback_port is fine', () => {
  const both = { redirect_uri: 'http://localhost:3118/cb', callback_port: 3118 }
  expect(settings(both)).toEqual(both)
})

test.each([
  'https://localhost:8080/callback',
  'http://localhost/callback',
  'http://localhost:8080',
  'http://localhost:0/callback',
  'http://localhost:65536/callback',
  'http://localhost:08080/callback',
  'http://LOCALHOST:8080/callback',
  'http://127.0.0.2:8080/callback',
  'http://0.0.0.0:8080/callback',
  'http://evil.example:8080/callback',
  'http://localhost:8080@evil.example/callback',
  'http://localhost.evil.example:8080/callback',
  'http://localhost:8080/a/../callback',
  'http://localhost:8080/callback?x=1',
  'http://localhost:8080/callback#x',
  'http://localhost:8080/call back',
  'http://localhost:8080\\callback',
  'cursor://anysphere.cursor-mcp/oauth/callback',
])('[REDIR-02] the redirect_uri %s is refused', (redirect_uri) => {
  expect(failure({ redirect_uri }).message).toContain('http://localhost:8080/callback;')
})
