import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type BuiltCommand,
  buildCommand,
  createHome,
  type Finished,
  type Home,
} from './fixtures/built-command.ts'
import { Canaries } from './fixtures/canaries.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { freePort } from './fixtures/workbench.ts'

// One life of a login under `--debug`: registered with a secret, signed in, used, renewed, renewed in vain, ended.
// Every secret that went over any wire is gathered at the server, and none of it may be in what was printed.

let command: BuiltCommand
let as: ScriptedAuthorizationServer
let home: Home
const canaries = new Canaries()
const printed: Record<string, Finished> = {}

beforeAll(async () => {
  command = await buildCommand()
  home = await createHome()
  as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      metadata: (_request, { body }) => ({
        body: { ...(body as object), token_endpoint_auth_methods_supported: ['client_secret_basic'] },
      }),
      registration: (_request, answer) => {
        const body = {
          ...(answer.body as object),
          registration_access_token: 'uj2vYxWq8mZ4TnBd7RkL',
          registration_client_uri: `${as.issuer}/register/1`,
        }
        canaries.ofAnswer({ body })
        return { ...answer, body }
      },
      token: (_, answer) => void canaries.ofAnswer(answer),
    },
  })
  await home.configure({ mcpServers: { demo: { url: as.url } } })
  const run = async (name: string, ...args: string[]): Promise<void> => {
    printed[name] = await command.run([...args, '--debug'], home)
  }
  const storeHome = join(home.path, '.mcp_use')
  // A port of its own: 8080 may be taken by a test file beside this one.
  const port = String(await freePort())
  await run('login', 'login', 'demo', '--interactive', 'always', '--callback-port', port)
  await run('tools', 'tools', 'demo')
  await changeStoredLogins(storeHome, expired)
  await run('token', 'token', 'demo')
  printed.environment = await command.run(['status'], home, { env: { LATCHKEY_DEBUG: '1' } })
  const refresh_token = canaries.make('stored refresh token')
  await changeStoredLogins(storeHome, (record) => ({ ...expired(record), refresh_token }))
  await run('refused', 'tools', 'demo')
  await run('again', 'login', 'demo', '--interactive', 'always')
  await run('logout', 'logout', 'demo')
})
afterAll(async () => {
  await as.close()
  await command.remove()
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

/** Debug lines of a command, as `stage text`. */
const steps = (name: string): string[] =>
  printed[name]!.stderr.split('\n')
    .filter((line) => line.startsWith('latchkey demo: '))
    .map((line) => line.slice('latchkey demo: '.length).replace(/ +/g, ' '))

describe('a whole sign-in, step by step with URL, status and time', () => {
  test('the life of this login went as planned', () => {
    const codes = Object.fromEntries(Object.entries(printed).map(([name, { code }]) => [name, code]))
    expect(codes).toEqual({ login: 0, tools: 0, token: 0, environment: 0, refused: 4, again: 0, logout: 0 })
    expect(canaries.names).toEqual(
      expect.arrayContaining([
        'client_secret',
        'registration_access_token',
        'state',
        'code',
        'code_verifier',
        'access_token',
        'refresh_token',
        'authorization header (Basic)',
      ]),
    )
  })

  test.each([
    ['the port', /^callback listening redirect_uri=http:\/\/localhost:\d+\/callback$/],
    ['the question', /^probe POST http:\S+\/mcp -> 401 application\/json, \d+ ms$/],
    ['the challenge', /^challenge 401 bearer resource_metadata=http:\S+$/],
    [
      'resource metadata',
      /^discovery GET \S+\/\.well-known\/oauth-protected-resource\/mcp -> 200 application\/json, \d+ ms$/,
    ],
    [
      'server metadata',
      /^discovery GET \S+\/\.well-known\/oauth-authorization-server -> 200 application\/json, \d+ ms$/,
    ],
    [
      'the endpoints',
      /^discovery authorization server issuer=\S+ authorization_endpoint=\S+ token_endpoint=\S+/,
    ],
    ['registration', /^registration POST \S+\/register -> 201 application\/json, \d+ ms$/],
    ['the client', /^client dynamic client_id=client-\S+ redirect_uri=\S+$/],
    [
      'the authorization request',
      /^authorization http:\S+\/authorize\?response_type=code&\S*state=…\S*&code_challenge=…/,
    ],
    ['the browser', /^authorization the browser came back$/],
    ['the token exchange', /^token POST \S+\/token -> 200 application\/json, \d+ ms$/],
    ['the token', /^token received grant=authorization_code .*expires=\S+ refresh_token=yes$/],
    ['the store', /^store saved in \/\S+\.json$/],
  ])('%s', (_, pattern) => expect(steps('login').filter((step) => pattern.test(step))).toHaveLength(1))

  test('renewal, a refused renewal and the revocation', () => {
    expect(steps('token')).toContainEqual(expect.stringMatching(/^token received grant=refresh_token/))
    expect(steps('refused')).toContainEqual(
      expect.stringMatching(/^token the login is over code=token_request_refused$/),
    )
    expect(steps('logout')).toContainEqual(expect.stringMatching(/^revocation POST \S+\/revoke -> 200/))
    expect(steps('tools')).toContainEqual(expect.stringMatching(/^mcp connected transport=streamable-http/))
  })
})

test('[STORE-04] no secret, nor any 8 characters of one, is in anything that was printed or given to the browser', () => {
  // Of `token` stdout is the token; of `login` the person needs the whole URL, alone on its line.
  const authorizationUrl = new RegExp(`^${as.issuer}/authorize\\?\\S+$`)
  const outputs = Object.entries(printed).map(([name, { stdout, stderr }]) => {
    const lines = stderr.split('\n').filter((line) => !authorizationUrl.test(line))
    return [name, (name === 'token' ? '' : stdout) + lines.join('\n')] as const
  })
  const opened = readFileSync(home.browserLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"opened"'))
  expect(opened).toHaveLength(2)

  const places = { ...Object.fromEntries(outputs), argv: opened.join('\n') }
  expect(canaries.leaksIn(places)).toEqual([])
})
