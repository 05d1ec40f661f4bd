import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Commands, startCommands } from '../commands-program.ts'
import { createHome, type Home } from '../fixtures/built-command.ts'
import type { Printed } from '../fixtures/command-lines.ts'
import type { Answer } from '../fixtures/loopback-server.ts'
import { type McpServerFixture, startMcpServer } from '../fixtures/mcp-server.ts'
import {
  type Endpoint,
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from '../fixtures/scripted-authorization-server.ts'
import { expectCalm, RAW, STEERING } from '../fixtures/steering-text.ts'

// Servers, files and names choose text that is shown. None of it may steer a terminal, hide itself, reorder what stands
// beside it, or begin a line that looks like one of ours.

/** The same as a header can carry it: one byte a character. */
const IN_A_HEADER = 'A\u009b8mB\u009d52;c;ZXZpbA==\u009cC\u0085D\u0080'

let commands: Commands
let as: ScriptedAuthorizationServer
let mcp: McpServerFixture
let home: Home
let good: ScriptedAuthorizationServer

beforeAll(async () => {
  home = await createHome()
  good = await startScriptedAuthorizationServer({ mcp: {} })
  as = await startScriptedAuthorizationServer({ mcp: {} })
  mcp = await startMcpServer({
    tools: [
      {
        name: 'steering',
        description: STEERING,
        inputSchema: { type: 'object', properties: { [STEERING]: { type: 'string' } } },
        call: () => STEERING,
      },
      {
        name: 'failing',
        call: () => {
          throw new Error(STEERING)
        },
      },
    ],
  })
  const mcpServers = {
    hostile: { url: as.url },
    tools: { url: mcp.url, auth: false },
    good: { url: good.url },
    [STEERING]: { url: as.url },
  }
  await home.configure({ mcpServers })
  commands = await startCommands(home)
}, 120_000)
afterAll(async () => {
  commands.end()
  await Promise.all([as.close(), mcp.close(), good.close()])
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

/** Runs a command that says all it can. */
async function calmly(...args: string[]): Promise<Printed> {
  const printed = await commands.run({ args: [...args, '--debug'] })
  expectCalm(printed)
  return printed
}

/** A browser that ends at an error page never comes back. */
const always = ['--interactive', 'always', '--timeout', '5']

/** Every member of an answer, in turn, as the steering text: alone, and behind what was there. */
function withMembers(members: Record<string, unknown>) {
  return (_request: unknown, answer: Answer): Answer => ({
    ...answer,
    body: { ...(answer.body as object), ...members },
  })
}

const refusedAt = (error: string) => ({
  status: 400,
  body: { ...(tokenError(error, STEERING).body as object), error_uri: STEERING },
})

function callback(members: Record<string, string>) {
  return ({ query }: { query: URLSearchParams }): Answer => {
    const to = new URL(query.get('redirect_uri') ?? '')
    const all = { state: query.get('state') ?? '', iss: as.issuer, ...members }
    for (const [name, value] of Object.entries(all)) to.searchParams.set(name, value)
    return { status: 302, headers: { location: to.href } }
  }
}

type Script = NonNullable<ScriptedAuthorizationServer['scripts'][Endpoint]>

describe('S22: what servers say while somebody signs in', () => {
  let rows = 0
  const challenge =
    (header: string): Script =>
    (_request, answer) =>
      answer.status === 401 ? { ...answer, headers: { 'www-authenticate': header } } : undefined

  test.each<[string, Endpoint, Script]>([
    ['the scheme of the challenge', 'mcp', challenge(IN_A_HEADER)],
    ['the scope of the challenge', 'mcp', challenge(`Bearer scope="${IN_A_HEADER}"`)],
    [
      'the error of the challenge',
      'mcp',
      challenge(`Bearer error="${IN_A_HEADER}", error_description="${IN_A_HEADER}"`),
    ],
    ['the metadata URL of the challenge', 'mcp', challenge(`Bearer resource_metadata="${IN_A_HEADER}"`)],
    ['the content type of the 401', 'mcp', () => ({ status: 401, headers: { 'content-type': IN_A_HEADER } })],
    ['`resource`', 'resource-metadata', withMembers({ resource: STEERING })],
    ['`authorization_servers`', 'resource-metadata', withMembers({ authorization_servers: [STEERING] })],
    [
      'an issuer with a path of it',
      'resource-metadata',
      withMembers({ authorization_servers: [`http://127.0.0.1/${STEERING}`] }),
    ],
    [
      '`scopes_supported` of the resource',
      'resource-metadata',
      withMembers({ scopes_supported: [STEERING], resource_name: STEERING }),
    ],
    [
      'the content type of the resource metadata',
      'resource-metadata',
      () => ({ status: 404, headers: { 'content-type': IN_A_HEADER }, body: STEERING }),
    ],
    ['the issuer', 'metadata', withMembers({ issuer: STEERING })],
    ['the authorization endpoint', 'metadata', withMembers({ authorization_endpoint: STEERING })],
    ['the token endpoint', 'metadata', withMembers({ token_endpoint: `http://127.0.0.1/${STEERING}` })],
    ['the registration endpoint', 'metadata', withMembers({ registration_endpoint: `${STEERING}:x` })],
    [
      'lists of the metadata',
      'metadata',
      withMembers({
        scopes_supported: [STEERING],
        code_challenge_methods_supported: [STEERING],
        token_endpoint_auth_methods_supported: [STEERING],
      }),
    ],
    [
      'the content type of the metadata',
      'metadata',
      () => ({ status: 500, headers: { 'content-type': IN_A_HEADER }, body: STEERING }),
    ],
    ['a refused registration', 'registration', () => refusedAt(STEERING)],
    ['a refused redirect URI', 'registration', () => refusedAt('invalid_redirect_uri')],
    [
      'what was registered',
      'registration',
      withMembers({ client_id: STEERING, client_name: STEERING, scope: STEERING }),
    ],
    ['the method that was registered', 'registration', withMembers({ token_endpoint_auth_method: STEERING })],
    [
      'an error in the callback',
      'authorize',
      callback({ error: STEERING, error_description: STEERING, error_uri: STEERING }),
    ],
    [
      'a refusal in the callback',
      'authorize',
      callback({ error: 'access_denied', error_description: STEERING, error_uri: STEERING }),
    ],
    ['the issuer in the callback', 'authorize', callback({ code: 'x', iss: STEERING })],
    ['an error of the token endpoint', 'token', () => refusedAt(STEERING)],
    ['a refused code', 'token', () => refusedAt('invalid_grant')],
    [
      'an answer that is no token',
      'token',
      () => ({ status: 200, headers: { 'content-type': IN_A_HEADER }, body: STEERING }),
    ],
    ['the token itself', 'token', withMembers({ access_token: STEERING })],
    [
      'what comes with the token',
      'token',
      withMembers({ scope: STEERING, refresh_token: STEERING, expires_in: STEERING, id_token: STEERING }),
    ],
    ['the type of the token', 'token', withMembers({ token_type: STEERING })],
  ])('%s', async (_what, endpoint, script) => {
    as.scripts = { [endpoint]: script }
    // A name of its own: what was met before is another login's.
    const account = ['--account', `row ${++rows}`]
    const { code, stdout } = await calmly('login', 'hostile', ...account, ...always, '--json')
    const { error, state } = JSON.parse(stdout)
    if (code === 0) expect(state).toBe('signed_in')
    else expect(error.code).toMatch(/^[a-z_]+$/)
  })

  test('and after all of it the other server works, and nothing of it is in the list', async () => {
    as.scripts = {}
    expect((await calmly('call', 'good', 'whoami', ...always)).stdout).toBe('alice\n')
    await calmly('status')
    await calmly('status', '--json')
  })
})

describe('S22: what servers say later', () => {
  test('tools, their arguments and their errors', async () => {
    expect((await calmly('tools', 'tools')).stdout).toContain('steering')
    expect((await calmly('tools', 'tools', '--json')).code).toBe(0)
    await calmly('call', 'tools', 'failing', '--json')
    await calmly('call', 'tools', 'steerin', 'x=1')
    await calmly('call', 'tools', 'steering', '--json')
  })

  test('the answer of a tool: another program gets every byte, a terminal nothing that steers it', async () => {
    const args = ['call', 'tools', 'steering']
    expect((await commands.run({ args })).stdout).toBe(`${STEERING}\n`)
    const { stdout } = await commands.run({ args, isTerminal: true })
    // Its lines are its own: that is what was asked for.
    expect(RAW.exec(stdout)).toBe(null)
    expect(stdout).toContain('FORGED LINE')
  })

  test('an error of the MCP server, its status and its content type', async () => {
    const error = { code: -32_000, message: STEERING, data: STEERING }
    const scope = `Bearer error="insufficient_scope", scope="${IN_A_HEADER}"`
    const answers: ((id: unknown) => Answer)[] = [
      () => ({ status: 500, headers: { 'content-type': IN_A_HEADER }, body: STEERING }),
      () => ({ status: 403, headers: { 'www-authenticate': scope } }),
      (id) => ({ body: { jsonrpc: '2.0', id, error } }),
      (id) => ({ body: { jsonrpc: '2.0', id, [STEERING]: STEERING, result: {} } }),
      (id) => ({ body: { jsonrpc: '2.0', id, result: { tools: [{ name: 5, [STEERING]: STEERING }] } } }),
      () => ({ headers: { 'content-type': 'application/json' }, body: STEERING }),
    ]
    for (const answer of answers) {
      mcp.intercept = ({ body }) => answer(JSON.parse(body || '{}').id)
      expect((await calmly('tools', 'tools')).code).not.toBe(0)
      expect((await calmly('tools', 'tools', '--json')).code).not.toBe(0)
    }
    mcp.intercept = undefined
  })

  test('the type of an argument in the schema of a tool', async () => {
    const inputSchema = { type: 'object', properties: { typed: { type: STEERING } } }
    mcp.intercept = ({ body }) => {
      const { id, method } = JSON.parse(body || '{}')
      if (method !== 'tools/list') return undefined
      return {
        body: {
          jsonrpc: '2.0',
          id,
          result: {
            resultType: 'complete',
            ttlMs: 0,
            cacheScope: 'private',
            tools: [{ name: 'typed', inputSchema }],
          },
        },
      }
    }
    const { stderr } = await calmly('call', 'tools', 'typed', 'typed=1')
    expect(stderr).toContain('typed is to be of type')
    await calmly('call', 'tools', 'typed', 'typed=1', '--json')
    await calmly('tools', 'tools', '--json')
    mcp.intercept = undefined
  })

  test('a refused renewal and a refused revocation', async () => {
    expect((await calmly('login', 'hostile', ...always)).code).toBe(0)
    as.scripts = { token: () => refusedAt(STEERING), revocation: () => refusedAt(STEERING) }
    as.expireAccessTokens()
    await calmly('tools', 'hostile', '--interactive', 'never')
    await calmly('logout', 'hostile')
    as.scripts = {}
  })
})

describe('S22: names', () => {
  test.each<[string, string[]]>([
    ['a server', ['login', STEERING, ...always]],
    ['a server with a URL of it', ['status', `http://127.0.0.1/${STEERING}`]],
    ['an account', ['login', 'good', '--account', STEERING, ...always]],
    ['a client', ['status', 'good', '--client-id', STEERING]],
    ['a scope', ['login', 'good', '--scope', STEERING, ...always]],
    ['a tool', ['call', 'tools', STEERING]],
    ['an argument', ['call', 'tools', 'steering', `${STEERING}=1`]],
    ['a config file', ['status', '--config', STEERING.replaceAll('\u0000', '')]],
    ['a file to trust', ['trust', STEERING.replaceAll('\u0000', '')]],
    ['a file to trust no more', ['trust', '--forget', STEERING]],
    ['a flag', [`--${STEERING}`]],
    ['a command', [STEERING]],
    ['a program to import from', ['import', STEERING]],
  ])('%s of it', async (_what, args) => {
    await calmly(...args)
    await calmly(...args, '--json')
  })

  test('and after all of them every list is calm', async () => {
    for (const args of [['status'], ['trust', '--list'], ['logout', '--all'], ['import', 'mcp-remote']]) {
      await calmly(...args)
      await calmly(...args, '--json')
    }
  })
})
