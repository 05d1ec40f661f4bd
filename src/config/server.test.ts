import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { readServer } from './server.ts'

const off = { mode: 'off' } as const
const read = (entry: unknown) => readServer('a', entry, 'mcpServers.a', off)

const http = {
  kind: 'http',
  name: 'a',
  url: 'https://h.example.com/mcp',
  transport: 'auto',
  headers: {},
  auth: { method: 'oauth', settings: {} },
  disabled: false,
}

test.each([
  ['a URL alone', { url: 'https://h.example.com/mcp' }, {}],
  ['host and scheme in capitals', { url: 'HTTPS://H.Example.com:443/mcp' }, {}],
  ['a fragment', { url: 'https://h.example.com/mcp#x' }, {}],
  ['no path', { url: 'https://h.example.com' }, { url: 'https://h.example.com/' }],
  [
    'path and query kept as they are',
    { url: 'https://h.example.com/A/?k=V#x' },
    { url: 'https://h.example.com/A/?k=V' },
  ],
  ['a name outside ASCII', { url: 'https://bücher.example/' }, { url: 'https://xn--bcher-kva.example/' }],
  ['plain http', { url: 'http://127.0.0.1:3000/mcp' }, { url: 'http://127.0.0.1:3000/mcp' }],
  ['a path that ends in /sse', { url: 'https://h.example.com/sse' }, { url: 'https://h.example.com/sse' }],
  ['type http', { url: http.url, type: 'http' }, {}],
  ['type streamable-http', { url: http.url, type: 'streamable-http' }, { transport: 'streamable-http' }],
  ['type streamableHttp', { url: http.url, type: 'streamableHttp' }, { transport: 'streamable-http' }],
  ['type streamable_http', { url: http.url, type: 'streamable_http' }, { transport: 'streamable-http' }],
  ['type sse', { url: http.url, type: 'sse' }, { transport: 'sse' }],
  ['serverUrl', { serverUrl: http.url }, {}],
  ['httpUrl', { httpUrl: http.url }, { transport: 'streamable-http' }],
  ['httpUrl with a type', { httpUrl: http.url, type: 'sse' }, { transport: 'sse' }],
  [
    'disabled and timeout',
    { url: http.url, disabled: true, timeout: 1500.7 },
    { disabled: true, timeout: 1500 },
  ],
  ['no authentication', { url: http.url, auth: false }, { auth: { method: 'none' } }],
  ['a token', { url: http.url, auth: 't' }, { auth: { method: 'bearer', token: 't' } }],
  [
    'OAuth settings',
    { url: http.url, auth: { scope: 'a' } },
    { auth: { method: 'oauth', settings: { scope: 'a' } } },
  ],
  [
    'oauth',
    { url: http.url, oauth: { clientId: 'c' } },
    { auth: { method: 'oauth', settings: { client_id: 'c' } } },
  ],
  ['headers', { url: http.url, headers: { 'X-A': '1' } }, { headers: { 'X-A': '1' } }],
  [
    'an Authorization in any case',
    { url: http.url, headers: { aUTHORIZATION: 'Token t' } },
    { headers: { aUTHORIZATION: 'Token t' }, auth: { method: 'headers' } },
  ],
  [
    'keys a program left undefined',
    { url: http.url, type: undefined, headers: undefined, timeout: undefined },
    {},
  ],
])('http: %s', (_, entry, differences) => {
  expect(read(entry)).toEqual({ definition: { ...http, ...differences }, remarks: [] })
})

test('without a name the canonical URL is the name', () => {
  expect(readServer(undefined, { url: 'https://H.example.com' }, '', off).definition.name).toBe(
    'https://h.example.com/',
  )
})

const stdio = { kind: 'stdio', name: 'a', command: 'npx', args: [], env: {}, disabled: false }

test.each([
  ['a command alone', { command: 'npx' }, {}],
  ['type stdio', { command: 'npx', type: 'stdio' }, {}],
  [
    'everything',
    {
      command: 'npx',
      args: ['-y', ''],
      env: { A: 'x', PORT: 3000, ON: true, E: '' },
      cwd: '/srv',
      envFile: '.env',
      timeout: 1,
    },
    {
      args: ['-y', ''],
      env: { A: 'x', PORT: '3000', ON: 'true', E: '' },
      cwd: '/srv',
      envFile: '.env',
      timeout: 1,
    },
  ],
])('stdio: %s', (_, entry, differences) => {
  expect(read(entry)).toEqual({ definition: { ...stdio, ...differences }, remarks: [] })
})

test.each([
  ['', null, 'found null'],
  ['', 'https://h.example.com/', 'found a string, expected an object with `url` or `command`'],
  ['', [], 'found an empty array'],
  ['', {}, 'neither `url` nor `command`'],
  ['', { type: 'http' }, 'neither `url` nor `command`'],
  ['', { URL: 'https://h.example.com/' }, 'Did you mean `url` by "URL"?'],
  ['', { comand: 'npx' }, 'Did you mean `command` by "comand"?'],
  ['.url', { url: undefined }, 'Is a variable not set?'],
  ['.command', { url: 'https://h.example.com/', command: 'npx' }, 'stands beside `url`'],
  [
    '.serverUrl',
    { url: 'https://h.example.com/', serverUrl: 'https://h.example.com/' },
    'stands beside `url`',
  ],
  ['.url', { url: '' }, 'found an empty string, expected a URL that starts with https://'],
  ['.url', { url: null }, 'found null'],
  ['.url', { url: 'h.example.com/canary' }, 'no absolute URL'],
  ['.url', { url: 'localhost:3000/canary' }, 'the scheme "localhost:"'],
  ['.url', { url: 'ftp://h.example.com/canary' }, 'the scheme "ftp:"'],
  ['.url', { url: 'https://' }, 'no absolute URL'],
  ['.url', { url: 'https://canary@h.example.com/' }, 'user name or password'],
  ['.url', { url: 'https://u:canary@h.example.com/' }, 'basicAuth(user, password)'],
  ['.url', { url: 'https://:canary@h.example.com/' }, 'user name or password'],
  ['.type', { url: 'https://h.example.com/', type: 'stdio' }, 'found a string, expected "http"'],
  ['.type', { url: 'https://h.example.com/', type: 'ws' }, 'found a string, expected "http"'],
  ['.type', { url: 'https://h.example.com/', type: 1 }, 'found a number'],
  ['.auth', { url: 'https://h.example.com/', auth: undefined }, 'Is a variable not set?'],
  ['.oauth', { url: 'https://h.example.com/', oauth: 'canary' }, 'found a string, expected an object'],
  ['.oauth', { url: 'https://h.example.com/', oauth: {} }, 'found an empty object'],
  [
    '.oauth',
    { url: 'https://h.example.com/', auth: 'canary', oauth: { clientId: 'c' } },
    'beside mcpServers.a.auth',
  ],
  [
    '.auth',
    { url: 'https://h.example.com/', auth: 'canary', headers: { AUTHORIZATION: 'Bearer canary' } },
    'beside mcpServers.a.headers.AUTHORIZATION',
  ],
  [
    '.auth',
    { url: 'https://h.example.com/', auth: false, headers: { authorization: 'Bearer canary' } },
    'beside mcpServers.a.headers.authorization',
  ],
  [
    '.oauth',
    { url: 'https://h.example.com/', oauth: { clientId: 'c' }, headers: { authorization: 'x' } },
    'beside',
  ],
  ['.headers', { url: 'https://h.example.com/', headers: ['a'] }, 'found an array'],
  ['.disabled', { url: 'https://h.example.com/', disabled: 'true' }, 'true or false'],
  ['.disabled', { url: 'https://h.example.com/', disabled: null }, 'found null'],
  ['.timeout', { url: 'https://h.example.com/', timeout: 0 }, 'found 0'],
  ['.timeout', { url: 'https://h.example.com/', timeout: '5000' }, 'found a string'],
  ['.timeout', { command: 'x', timeout: Number.POSITIVE_INFINITY }, 'found Infinity'],
  ['.timeout', { command: 'x', timeout: Number.NaN }, 'found NaN'],
  ['.command', { command: '' }, 'found an empty string'],
  ['.command', { command: ['npx'] }, 'found an array'],
  ['.type', { command: 'npx', type: 'http' }, 'expected "stdio"'],
  ['.auth', { command: 'npx', auth: 'canary' }, 'takes its credentials from `env`'],
  ['.args', { command: 'npx', args: 'canary' }, 'a list of strings'],
  ['.args[1]', { command: 'npx', args: ['-y', 3] }, 'found a number'],
  ['.args[0]', { command: 'npx', args: ['canary\0'] }, 'NUL'],
  ['.env', { command: 'npx', env: [] }, 'found an empty array'],
  ['.env.A', { command: 'npx', env: { A: null } }, 'found null'],
  ['.env.A', { command: 'npx', env: { A: 'canary\0' } }, 'NUL'],
  ['.env["A=B"]', { command: 'npx', env: { 'A=B': 'canary' } }, 'not a variable name'],
  ['.cwd', { command: 'npx', cwd: 5 }, 'found a number'],
  ['.envFile', { command: 'npx', envFile: '' }, 'found an empty string'],
])('refused at %s: %j', (key, entry, message) => {
  const act = () => read(entry)
  expect(act).toThrow(ConfigInvalidError)
  expect(act).toThrow(`mcpServers.a${key}: `)
  expect(act).toThrow(message)
  expect(act).not.toThrow('canary')
})

test('unknown keys are kept as they are and reported in one remark, with the nearest known key', () => {
  const { definition, remarks } = read({ url: http.url, headrs: { 'X-A': '1' }, colour: 'canary' })
  expect(definition).toEqual({ ...http, unknownKeys: { headrs: { 'X-A': '1' }, colour: 'canary' } })
  expect(remarks).toEqual(['not known and ignored: "headrs" (did you mean "headers"?), "colour".'])
})

test('keys of the other kind of server are reported', () => {
  expect(read({ url: http.url, env: {}, cwd: '.' }).remarks).toEqual([
    'without effect beside `url`: "env", "cwd".',
  ])
  expect(read({ command: 'npx', headers: {} }).remarks).toEqual([
    'without effect beside `command`: "headers".',
  ])
})
