import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import { serverDomain, tokensKey } from '../src/credentials/identity.ts'
import { encodeRecord } from '../src/credentials/record.ts'
import type { TokenSet } from '../src/flow/token-set.ts'
import { systemClock } from '../src/node/clock.ts'
import { readConfigSources } from '../src/node/config-sources.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { PathEnvironment } from '../src/node/paths.ts'
import { createTrustStore } from '../src/node/trust-store.ts'
import { nodePlatform } from '../src/node-platform.ts'
import type { JsonObject } from '../src/ports.ts'
import { storedToken } from '../src/stored-token.ts'

// The entry answers `latchkey token URL` by itself where it can. Whatever it answers must be what the whole command
// would have answered; and the plain case must be answered, or the shortcut is worth nothing.

const URL_ = 'https://mcp.example.com/mcp'
/** With a fraction, as the clock has it. */
const NOW = Date.UTC(2026, 5, 1) + 400
const now = Math.floor(NOW / 1000)

let homedir = ''
let env: Record<string, string | undefined> = {}

beforeEach(() => {
  homedir = mkdtempSync(join(tmpdir(), 'latchkey-token-'))
  env = {}
})
afterEach(() => rmSync(homedir, { recursive: true, force: true, maxRetries: 5 }))

const environment = (): PathEnvironment => ({ env, homedir, platform: process.platform })
const home = () => join(homedir, '.mcp_use')
const file = (domain = serverDomain(URL_)) => join(home(), 'tokens', `${domain}.json`)

function fast(argv: readonly string[]): string | undefined {
  return storedToken(argv, {
    ...environment(),
    workingDirectory: homedir,
    now: NOW,
    uid: process.geteuid?.(),
    sha256: (text) => createHash('sha256').update(text, 'utf8').digest('hex'),
  })
}

/** The whole command at the same moment, with a network that is down. */
async function slow(argv: readonly string[]): Promise<{ code: number; token: string | undefined }> {
  const printed: string[] = []
  const silent = { write: () => {}, isTerminal: false }
  const code = await main(
    argv,
    {
      stdout: { write: (text) => void printed.push(text), isTerminal: false },
      stderr: silent,
      stdin: { isTerminal: false, readAll: async () => '', readLine: async () => '' },
      env,
      signal: new AbortController().signal,
      passSignals: () => {},
    },
    {
      platform: {
        ...nodePlatform,
        fetch: async () => Promise.reject(new TypeError('the network is down')),
        clock: { ...systemClock, now: () => NOW },
        createStore: (emit) => createFileStore({ home: home(), emit }),
      },
      configFiles: (flag, emit) =>
        readConfigSources({
          environment: environment(),
          trustStore: createTrustStore({ home: home(), emit }),
          workingDirectory: homedir,
          flag,
        }),
      md5: () => {
        throw new Error('not asked for here')
      },
      foreignFiles: () => {
        throw new Error('not asked for here')
      },
      startProgram: () => {
        throw new Error('not asked for here')
      },
      trustedFiles: () => {
        throw new Error('not asked for here')
      },
    },
  )
  return { code, token: code === 0 ? printed.join('').trimEnd() : undefined }
}

const login: TokenSet = {
  issuer: 'https://as.example.com',
  resource: URL_,
  client_id: 'client',
  token_endpoint_auth_method: 'none',
  client_kind: 'dynamic',
  redirect_uri: 'http://localhost:8080/callback',
  token_endpoint: 'https://as.example.com/token',
  access_token: 'the-access-token',
  token_type: 'bearer',
  obtained_at: now - 600,
  expires_at: now + 3000,
  refresh_token: 'the-refresh-token',
}

const DPOP_KEY = {
  kty: 'EC',
  alg: 'ES256',
  crv: 'P-256',
  x: 'x'.repeat(43),
  y: 'y'.repeat(43),
  d: 'd'.repeat(43),
}

async function store(
  change: JsonObject = {},
  { url = URL_, account = null as string | null, clientId = null as string | null } = {},
): Promise<void> {
  const key = tokensKey({ serverUrl: url, account, configuredClientId: clientId })
  const client = clientId === null ? {} : { client_kind: 'pre-registered' as const, client_id: clientId }
  const record = { ...encodeRecord(key, { ...login, ...client }), ...change }
  for (const [name, value] of Object.entries(record)) if (value === undefined) delete record[name]
  await createFileStore({ home: home(), emit: () => {} }).write(key, record)
}

async function bothAnswer(argv: readonly string[], token: string): Promise<void> {
  expect(fast(argv)).toBe(token)
  expect(await slow(argv)).toEqual({ code: 0, token })
}

/** The shortcut leaves it to the command, whatever that makes of it. */
async function onlyTheCommand(
  argv: readonly string[],
  expected: { code: number; token?: string },
): Promise<void> {
  expect(fast(argv)).toBeUndefined()
  expect(await slow(argv)).toEqual({ token: undefined, ...expected })
}

describe('records that can be used as they are: both answer', () => {
  test.each<[string, JsonObject]>([
    ['a token with time left', {}],
    ['a token without a known end', { expires_at: undefined as never }],
    ['61 s left of an hour', { obtained_at: now - 3539, expires_at: now + 61 }],
    ['11 s left of 100: a tenth is the margin', { obtained_at: now - 89, expires_at: now + 11 }],
    ['a login that cannot be renewed', { refresh_token: undefined as never }],
    ['members of a later version', { invented: { deeply: [1] } }],
    ['an obtained_at in the future', { obtained_at: now + 100, expires_at: now + 3000 }],
  ])('%s', async (_, change) => {
    await store(change)
    await bothAnswer(['token', URL_], 'the-access-token')
  })

  test('the record of this URL among others of the host', async () => {
    await store({ access_token: 'other' }, { url: 'https://mcp.example.com/other' })
    await store({ access_token: 'configured' }, { clientId: 'pre' })
    await store()
    await bothAnswer(['token', URL_], 'the-access-token')
  })

  test('a URL spelled differently', async () => {
    await store()
    await bothAnswer(['token', 'HTTPS://MCP.Example.com:443/mcp'], 'the-access-token')
  })

  test('a port and an IPv6 host', async () => {
    await store({}, { url: 'http://[::1]:3000/mcp' })
    await bothAnswer(['token', 'http://[::1]:3000/mcp'], 'the-access-token')
  })

  test('a named account', async () => {
    await store({ access_token: 'unnamed' })
    await store({}, { account: 'alice@example.com' })
    await bothAnswer(['token', URL_, '--account', 'alice@example.com'], 'the-access-token')
  })

  test('a config file that speaks of other servers', async () => {
    await store()
    configure('{ "mcpServers": { "x": { "url": "https://other.example.com/mcp" } } }')
    await bothAnswer(['token', URL_], 'the-access-token')
  })
})

describe('records that cannot: the command decides', () => {
  test.each<[string, JsonObject, number, string?]>([
    ['expired, and the network is down', { expires_at: now - 1 }, 3],
    ['sealed with a key', { sealed: 'v1.abcdefgh.AAAA' }, 1],
    ['sealed in a way of later', { sealed: null }, 1],
    ['expired for good', { expires_at: now - 1, refresh_token: undefined as never }, 4],
    ['59 s left of an hour', { obtained_at: now - 3541, expires_at: now + 59 }, 0, 'the-access-token'],
    ['9 s left of 100', { obtained_at: now - 91, expires_at: now + 9 }, 0, 'the-access-token'],
    ['no access token', { access_token: undefined as never }, 4],
    ['an expiry that is no number', { expires_at: 'soon' }, 4],
    ['an unknown token type', { token_type: 'mac' }, 4],
    ['a bound token: it is worth nothing alone', { token_type: 'dpop', dpop_key: DPOP_KEY }, 1],
    ['a bound token without its key', { token_type: 'dpop' }, 4],
    ['a key that is none', { token_type: 'dpop', dpop_key: { ...DPOP_KEY, d: 17 } }, 4],
    ['a login of a pre-registered client under the name of none', { client_kind: 'pre-registered' }, 4],
    ['an unknown client authentication', { token_endpoint_auth_method: 'magic' }, 4],
  ])('%s', async (_, change, code, token) => {
    await store(change)
    await onlyTheCommand(['token', URL_], { code, ...(token !== undefined && { token }) })
  })

  test('there is no login', () => onlyTheCommand(['token', URL_], { code: 4 }))

  test('the login is of a pre-registered client, which a URL alone finds as well', async () => {
    await store({}, { clientId: 'pre' })
    await onlyTheCommand(['token', URL_], { code: 0, token: 'the-access-token' })
  })

  test('the login is of another account', async () => {
    await store({}, { account: 'work' })
    await onlyTheCommand(['token', URL_], { code: 4 })
    await onlyTheCommand(['token', URL_, '--account', 'home'], { code: 4 })
  })
})

describe('a store that is not as it should be: the command decides', () => {
  test.each<[string, (text: string) => void, number]>([
    ['the file is no JSON', () => writeFileSync(file(), '{', { mode: 0o600 }), 4],
    [
      'the file is of another program',
      () => writeFileSync(file(), '{"access_token":"x"}', { mode: 0o600 }),
      4,
    ],
    ['the file is of a later version', () => rewrite('"version": 1', '"version": 2'), 1],
    [
      'the file says it is of another host',
      () => rewrite('"server_domain": "mcp', '"server_domain": "acp'),
      4,
    ],
    ['the file is a link', () => link(file()), 1],
    ['the folder is a link', () => link(join(home(), 'tokens')), 1],
    ['the file has a second name', () => linkSync(file(), `${file()}.second`), 1],
    ['the folder above the home is open to all', () => chmodSync(homedir, 0o777), 1],
  ])('%s', async (_, damage, code) => {
    await store()
    damage('')
    await onlyTheCommand(['token', URL_], { code })
  })

  test.each([
    ['the file', () => chmodSync(file(), 0o644)],
    ['the folder', () => chmodSync(join(home(), 'tokens'), 0o755)],
    ['the home', () => chmodSync(home(), 0o777)],
  ])('%s is open to others: it is narrowed and reported', async (_, open) => {
    await store()
    open()
    await onlyTheCommand(['token', URL_], { code: 0, token: 'the-access-token' })
    await bothAnswer(['token', URL_], 'the-access-token')
  })
})

describe('anything else than a plain URL: the command decides', () => {
  test.each([
    [['token', 'name']],
    [['token', URL_, '--json']],
    [['token', '--debug', URL_]],
    [['token', URL_, '--config', 'x']],
    [['token', URL_, '--account', '']],
    [['token', URL_, '--account', '--json']],
    [['token', URL_, '--account', 'undefined']],
    [['token', 'https://user:pass@mcp.example.com/mcp']],
    [['token', `${URL_}#part`]],
    [['token']],
    [['status', URL_]],
  ])('%j', async (argv) => {
    await store()
    expect(fast(argv)).toBeUndefined()
  })

  test.each(['keychain', 'auto', 'memory', 'misspelt', ''])(
    'another store: LATCHKEY_STORE=%s',
    async (name) => {
      await store()
      env = { LATCHKEY_STORE: name }
      expect(fast(['token', URL_])).toBeUndefined()
    },
  )

  test('LATCHKEY_STORE=file is what it is anyway', async () => {
    await store()
    env = { LATCHKEY_STORE: 'file' }
    await bothAnswer(['token', URL_], 'the-access-token')
  })

  test('LATCHKEY_DEBUG wants to see something', async () => {
    await store()
    env = { LATCHKEY_DEBUG: '1' }
    expect(fast(['token', URL_])).toBeUndefined()
  })

  test.each([
    [
      'names it',
      '{ "mcpServers": { "x": { "url": "https://MCP.example.com/mcp", "auth": "static" } } }',
      'static',
    ],
    [
      'spells it with an escape',
      '{ "mcpServers": { "x": { "url": "https://\\u006dcp.example.com/mcp", "auth": "static" } } }',
      'static',
    ],
    [
      'spells it with a percent sign',
      '{ "mcpServers": { "x": { "url": "https://%6dcp.example.com/mcp", "auth": "static" } } }',
      'static',
    ],
    [
      'spells it in other letters',
      '{ "mcpServers": { "x": { "url": "https://ｍcp.example.com/mcp", "auth": "static" } } }',
      'static',
    ],
    [
      'may mean it by a variable',
      `{ "mcpServers": { "x": { "url": "https://other.example/\${UNSET:-x}", "auth": "static" } } }`,
      'the-access-token',
    ],
  ])('a config file %s', async (_, text, token) => {
    await store()
    configure(text)
    await onlyTheCommand(['token', URL_], { code: 0, token })
  })

  test('a config file may spell an address as a number', async () => {
    await store({}, { url: 'http://127.0.0.1:3000/mcp' })
    configure('{ "mcpServers": { "x": { "url": "http://2130706433:3000/mcp", "auth": "static" } } }')
    await onlyTheCommand(['token', 'http://127.0.0.1:3000/mcp'], { code: 0, token: 'static' })
  })

  test('a config file of the working directory may name it, once trusted', async () => {
    await store()
    const path = join(homedir, '.mcp.json')
    const text = `{ "mcpServers": { "x": { "url": "${URL_}", "auth": "static" } } }`
    writeFileSync(path, text)
    await onlyTheCommand(['token', URL_], { code: 0, token: 'the-access-token' })
    await createTrustStore({ home: home(), emit: () => {} }).trust(path, text)
    await onlyTheCommand(['token', URL_], { code: 0, token: 'static' })
  })

  test('what anybody may have left in the working directory is not waited for', async () => {
    await store()
    const path = join(homedir, '.mcp.json')
    for (const put of [
      () => void spawnSync('mkfifo', [path]),
      () => symlinkSync('/dev/zero', path),
      () => mkdirSync(path),
    ]) {
      put()
      await onlyTheCommand(['token', URL_], { code: 0, token: 'the-access-token' })
      rmSync(path, { recursive: true })
    }
  })

  test('a relative LATCHKEY_HOME is an error, not another place', async () => {
    await store()
    env = { LATCHKEY_HOME: 'here' }
    expect(fast(['token', URL_])).toBeUndefined()
  })
})

function configure(text: string): void {
  const folder = join(homedir, '.config', 'latchkey')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, 'mcp.json'), text, { mode: 0o600 })
}

function rewrite(from: string, to: string): void {
  const text = readFileSync(file(), 'utf8')
  expect(text).toContain(from)
  writeFileSync(file(), text.replace(from, to), { mode: 0o600 })
}

function link(path: string): void {
  renameSync(path, `${path}.real`)
  symlinkSync(`${path}.real`, path)
}
