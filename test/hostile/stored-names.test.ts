import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BuiltCommand, commandAt, createHome, type Home } from '../fixtures/built-command.ts'
import { packedPackage } from '../fixtures/packed-package.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from '../fixtures/scripted-authorization-server.ts'
import { type BundledProgram, buildProgram } from '../session-program.ts'

// Names of servers and accounts, and what stands in stored files, must not lead out of the store, into the prototype of
// every object, or to the login of somebody else (CVE-2026-51996).

const run = promisify(execFile)

let command: BuiltCommand
let accountsProgram: BundledProgram
let as: ScriptedAuthorizationServer
let home: Home

beforeAll(async () => {
  const { bin, project } = await packedPackage()
  command = commandAt(bin)
  accountsProgram = await buildProgram('accounts-child', project)
}, 120_000)
afterAll(() => accountsProgram.remove())
beforeEach(async () => {
  home = await createHome()
  as = await startScriptedAuthorizationServer({ mcp: {} })
})
afterEach(async () => {
  await as.close()
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

/** What lies in the home beside the store, the config and the log of the browser. */
async function strayFiles(): Promise<string[]> {
  const names = await readdir(home.path, { recursive: true })
  return names.filter((name) => !/^(\.mcp_use|\.config|browser\.log)/.test(name))
}

const NAMES = [
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../../x',
  '..\\..\\x',
  '/etc/passwd',
  'a/b',
]

describe('S20 CVE-2026-51996: a server called so in the config', () => {
  test('__proto__ is an error of its own; all others work beside it, and each is itself', async () => {
    const other = await startScriptedAuthorizationServer({ mcp: {}, user: 'bob' })
    const mcpServers = Object.fromEntries(
      ['__proto__', ...NAMES, 'GOOD'].map((name) => [name, { url: as.url }]),
    )
    await home.configure({ mcpServers: { ...mcpServers, good: { url: other.url } } })
    const status = JSON.parse((await command.run(['status', '--json'], home)).stdout)
    const unusable = status.servers.filter(({ state }: { state: string }) => state === 'unusable')
    expect(unusable).toMatchObject([{ server: '"__proto__"', error: { code: 'config_invalid' } }])
    expect(status.servers).toHaveLength(NAMES.length + 3)

    for (const name of ['__proto__', 'valueOf', '../../y']) {
      const { code, stdout } = await command.run(['call', name, 'whoami', '--json'], home)
      expect({ code, error: JSON.parse(stdout).error.code }).toEqual({ code: 2, error: 'server_unknown' })
    }
    const always = ['--interactive', 'always']
    for (const [name, who] of [
      ['../../x', 'alice'],
      ['constructor', 'alice'],
      ['GOOD', 'alice'],
      ['good', 'bob'],
    ] as const) {
      const { code, stdout } = await command.run(['call', name, 'whoami', ...always], home)
      expect({ code, stdout }).toEqual({ code: 0, stdout: `${who}\n` })
    }
    expect(await strayFiles()).toEqual([])
    await other.close()
  })
})

describe('S20 CVE-2026-51996: accounts called so at one server', () => {
  const accounts = [
    '__proto__',
    ...NAMES,
    'jane',
    'Jane',
    'JANE',
    'caf\u00e9',
    'cafe\u0301',
    '..',
    '.',
    ' x',
    'x',
    'CON',
    'a'.repeat(300),
  ]

  test('are kept apart: each gets the token of its own sign-in, from a file of its own inside the store', async () => {
    let people = 0
    as.intercept = ({ pathname, body }) => {
      if (pathname === '/token' && body.includes('authorization_code'))
        as.settings.user = `person ${++people}`
      return undefined
    }
    const argv = [accountsProgram.file, as.url, JSON.stringify(accounts)]
    const { stdout } = await run(process.execPath, argv, { env: home.env, cwd: home.path })
    const { said, locations, other, polluted } = JSON.parse(stdout)
    expect(said).toEqual(accounts.map((_, n) => `person ${n + 1}`))
    expect(other).toBe('login_required')
    expect(polluted).toEqual([])
    // Also where the file system does not tell upper case from lower.
    expect(new Set(locations.map((path: string) => path.toLowerCase())).size).toBe(accounts.length)
    for (const path of locations) {
      expect(path).toMatch(/\/\.mcp_use\/tokens\/127\.0\.0\.1_\d+\/[0-9a-f]{32}\.json$/)
    }
    expect(await strayFiles()).toEqual([])
  }, 90_000)
})

describe('S20 CVE-2026-51996: a record that is not the one that was asked for', () => {
  let file = ''
  let original = ''
  let secret = ''
  beforeEach(async () => {
    const { code } = await command.run(['login', as.url, '--interactive', 'always'], home)
    expect(code).toBe(0)
    file = join(home.path, '.mcp_use', 'tokens', `127.0.0.1_${new URL(as.url).port}.json`)
    original = await readFile(file, 'utf8')
    secret = JSON.parse(original).records[0].access_token
    as.requests.clear()
  })

  /** The stored document with other members: of itself, and of its one record (`undefined` takes one away). */
  const changed = (document: object, record: object): string => {
    const read = JSON.parse(original)
    return JSON.stringify({ ...read, records: [{ ...read.records[0], ...record }], ...document })
  }

  test('is not used, gives no token, and nothing is sent', async () => {
    const { server_url, ...rest } = JSON.parse(original).records[0]
    const inherited = JSON.stringify(rest).replace('{', `{ "__proto__": { "server_url": "${server_url}" },`)
    const texts: Record<string, string> = {
      'another URL': changed({}, { server_url: `${as.url}/other` }),
      'the URL in another case': changed({}, { server_url: as.url.replace('/mcp', '/MCP') }),
      'the URL with a slash': changed({}, { server_url: `${as.url}/` }),
      'no URL': changed({}, { server_url: undefined }),
      'a list that prints as the URL': changed({}, { server_url: [as.url] }),
      'another account': changed({}, { account: 'bob' }),
      'another configured client': changed({}, { configured_client_id: 'theirs' }),
      'no configured client at all': changed({}, { configured_client_id: undefined }),
      'a client registered by hand': changed({}, { client_kind: 'pre-registered' }),
      'a grant': changed({}, { grant: 'client_credentials' }),
      'a key that it is bound to': changed({}, { token_type: 'dpop' }),
      'a token with a line end': changed({}, { access_token: `${secret}\r\nX-Evil: 1` }),
      'an identity that is inherited': changed({ records: [] }, {}).replace('[]', `[${inherited}]`),
      'records that are an object': changed({ records: JSON.parse(original).records[0] }, {}),
      'a document of another account': changed({ account: 'bob' }, {}),
      'a document of another server': changed({ server_domain: 'mcp.example.com' }, {}),
      'a document of another kind': changed({ kind: 'registrations' }, {}),
    }
    const met: Record<string, unknown> = {}
    for (const [title, text] of Object.entries(texts)) {
      await writeFile(file, text)
      const { code, stdout, stderr } = await command.run(['token', as.url], home)
      const isSecretTold = (stdout + stderr).includes(secret)
      met[title] = { code, stdout, isSecretTold, said: /\((\w+)\)\n$/.exec(stderr)?.[1] }
    }
    const refused = { code: 4, stdout: '', isSecretTold: false, said: 'login_required' }
    expect(met).toEqual(Object.fromEntries(Object.keys(texts).map((title) => [title, refused])))
    expect(as.requests.lines()).toEqual([])

    await writeFile(file, original)
    const { stdout } = await command.run(['token', as.url], home)
    expect(stdout).toBe(`${secret}\n`)
  }, 120_000)

  test('is kept beside the login that a new sign-in brings', async () => {
    await writeFile(file, changed({}, { account: 'bob' }))
    expect((await command.run(['login', as.url, '--interactive', 'always'], home)).code).toBe(0)
    const { records } = JSON.parse(await readFile(file, 'utf8'))
    expect(records).toMatchObject([{ account: 'bob', access_token: secret }, { account: null }])
    expect((await command.run(['call', as.url, 'whoami'], home)).stdout).toBe('alice\n')
  })

  test('is not written over where the whole document is somebody else’s; another account goes on', async () => {
    const text = changed({ server_domain: 'mcp.example.com' }, {})
    await writeFile(file, text)
    const { code, stdout } = await command.run(['login', as.url, '--interactive', 'always', '--json'], home)
    expect({ code, error: JSON.parse(stdout).error.code }).toEqual({ code: 1, error: 'store_failed' })
    expect(await readFile(file, 'utf8')).toBe(text)
    const account = ['--account', 'bob', '--interactive', 'always']
    expect((await command.run(['call', as.url, 'whoami', ...account], home)).stdout).toBe('alice\n')
  })

  test('members of the prototype in a stored file, a server’s answers and a config change no object', async () => {
    const pollution =
      '"__proto__": { "polluted": "yes" }, "constructor": { "prototype": { "polluted": "yes" } },'
    const text = await readFile(file, 'utf8')
    await writeFile(
      file,
      text.replace('{', `{ ${pollution}`).replace(/("records": \[\s*\{)/, `$1 ${pollution}`),
    )
    for (const endpoint of ['metadata', 'resource-metadata', 'registration', 'token'] as const) {
      as.scripts[endpoint] = (_request, answer) => ({
        ...answer,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(answer.body).replace('{', `{ ${pollution}`),
      })
    }
    const argv = [accountsProgram.file, as.url, '["one", "two"]']
    const { stdout } = await run(process.execPath, argv, { env: home.env, cwd: home.path })
    expect(JSON.parse(stdout)).toMatchObject({ said: ['alice', 'alice'], polluted: [] })
    const used = await command.run(['call', as.url, 'whoami'], home)
    expect(used).toMatchObject({ code: 0, stdout: 'alice\n' })
  })
})
