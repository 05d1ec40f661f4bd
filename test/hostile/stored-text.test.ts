import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Commands, startCommands } from '../commands-program.ts'
import { type BuiltCommand, commandAt, createHome, type Home } from '../fixtures/built-command.ts'
import { packedPackage } from '../fixtures/packed-package.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from '../fixtures/scripted-authorization-server.ts'
import { expectCalm, STEERING } from '../fixtures/steering-text.ts'
import { storedFiles } from '../fixtures/traces.ts'

// Text that was put into files: of other programs, of the store, of a folder that somebody unpacked.

let command: BuiltCommand
let commands: Commands
let as: ScriptedAuthorizationServer
let home: Home

beforeAll(async () => {
  command = commandAt((await packedPackage()).bin)
  as = await startScriptedAuthorizationServer({ mcp: {} })
}, 120_000)
afterAll(() => as.close())
beforeEach(async () => {
  home = await createHome()
  commands = await startCommands(home)
  await home.configure({ mcpServers: { demo: { url: as.url } } })
})
afterEach(() => {
  commands.end()
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

/** In text, as JSON, and with every event. */
async function calmly(...args: string[]) {
  const printed = []
  for (const more of [[], ['--json'], ['--debug']]) {
    const each = await commands.run({ args: [...args, ...more] })
    expectCalm(each)
    // A fault of ours would be neither.
    expect(each.stderr).not.toContain('(unexpected)')
    printed.push(each)
  }
  return printed
}

describe('S22: a login of another program', () => {
  const tokens = { access_token: 'foreign-token', refresh_token: 'foreign-refresh', token_type: 'Bearer' }
  const client = { client_id: 'foreign', redirect_uris: ['http://localhost:3334/oauth/callback'] }
  test.each<[string, object, object]>([
    ['a scope', { scope: STEERING }, {}],
    ['an issuer', { issuer: STEERING }, {}],
    ['an issuer that is a URL', { issuer: `https://as.example/${STEERING}` }, {}],
    ['tokens', { access_token: STEERING, refresh_token: STEERING }, {}],
    ['a type of token', { token_type: STEERING }, {}],
    ['a client', {}, { client_id: STEERING, client_secret: STEERING }],
    ['a method', {}, { client_secret: 'x', token_endpoint_auth_method: STEERING }],
    ['a redirect URI', {}, { redirect_uris: [STEERING, `http://localhost/${STEERING}`] }],
    ['a time that no clock can show', { expires_at: 1e300 }, {}],
    ['a time before all clocks', { expires_at: -1e300 }, {}],
  ])(
    'with %s of it',
    async (_what, token, registration) => {
      const folder = join(home.path, '.mcp-auth', 'mcp-remote-v1')
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const hash = createHash('md5').update(as.url).digest('hex')
      const write = (name: string, content: object) =>
        writeFile(join(folder, `${hash}_${name}.json`), JSON.stringify(content), { mode: 0o600 })
      await write('tokens', { ...tokens, ...token })
      await write('client_info', { ...client, ...registration })
      await calmly('import', 'mcp-remote', '--dry-run')
      await calmly('import', 'mcp-remote', '--yes')
      await calmly('status')
      expect((await command.run(['call', 'demo', 'whoami', '--interactive', 'always'], home)).code).toBe(0)
    },
    60_000,
  )
})

describe('S22: a stored record that was edited', () => {
  test.each<[string, Record<string, unknown>]>([
    ['what is shown', { issuer: STEERING, scope: STEERING, resource: STEERING, client_id: STEERING }],
    ['an account', { account: STEERING }],
    ['a server', { server_url: `http://127.0.0.1/${STEERING}` }],
    ['a client of the configuration', { configured_client_id: STEERING }],
    ['an absurd end', { expires_at: 1e300 }],
    ['the last end there is', { expires_at: 8.64e12 }],
    ['an absurd beginning', { obtained_at: -1e300 }],
    ['an end that is a text', { expires_at: STEERING }],
  ])(
    'in %s',
    async (_what, members) => {
      expect((await command.run(['login', 'demo', '--interactive', 'always'], home)).code).toBe(0)
      const store = join(home.path, '.mcp_use', 'tokens')
      for (const name of Object.keys(storedFiles(store)).filter((name) => name.endsWith('.json'))) {
        const document = JSON.parse(await readFile(join(store, name), 'utf8'))
        const edit = (value: unknown): unknown => {
          if (Array.isArray(value)) return value.map(edit)
          if (typeof value !== 'object' || value === null) return value
          const edited = Object.entries(value).map(([key, member]) => [
            key,
            key in members ? members[key] : edit(member),
          ])
          return Object.fromEntries(edited)
        }
        await writeFile(join(store, name), JSON.stringify(edit(document)), { mode: 0o600 })
      }
      const all = [
        ...(await calmly('status')),
        ...(await calmly('status', 'demo')),
        ...(await calmly('status', as.url)),
      ]
      for (const { stdout } of all) expect(stdout).not.toMatch(/NaN|Invalid Date/)
      await calmly('logout', 'demo')
      // A record that is another login's stays where it is: there is no room for this one then, and that is said.
      const { code, stdout } = await command.run(['login', 'demo', '--json', '--interactive', 'always'], home)
      if (code !== 0) expect(JSON.parse(stdout).error.code).toBe('store_failed')
    },
    60_000,
  )
})

describe('S22: a folder that is called so', () => {
  test.each([
    ['no JSON', '{'],
    ['a key twice', '{"mcpServers":{},"mcpServers":{}}'],
    ['no servers', '{"mcpServers":{}}'],
    [
      'a program with arguments',
      JSON.stringify({ mcpServers: { x: { command: STEERING, args: [STEERING] } } }),
    ],
    [
      'an envFile that is not there',
      JSON.stringify({ mcpServers: { x: { command: 'x', envFile: STEERING } } }),
    ],
  ])(
    'and holds a config file with %s',
    async (_what, text) => {
      const folder = join(home.path, STEERING.replaceAll('\0', '').replaceAll('/', ''))
      await mkdir(folder)
      const file = join(folder, 'mcp.json')
      await writeFile(file, text, { mode: 0o600 })
      await calmly('status', '--config', file)
      await calmly('status', 'nobody', '--config', file)
      await calmly('trust', file)
    },
    60_000,
  )
})
