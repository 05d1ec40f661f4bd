import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answerAtOnce } from '../src/cli/help.ts'
import {
  type BuiltCommand,
  buildCommand,
  createHome,
  type Finished,
  finished,
  type Home,
} from './fixtures/built-command.ts'
import { Canaries } from './fixtures/canaries.ts'
import { carried } from './fixtures/echo.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { freePort } from './fixtures/workbench.ts'
import { requires } from './requires.ts'

// Every command at its most talkative, in success and failure.

const STRACE = '/usr/bin/strace'
const stdioServer = fileURLToPath(new URL('./fixtures/stdio-server.mjs', import.meta.url))

/** A program that does not tell its secret. */
const SAY = [process.execPath, '-e', 'console.log("LATCHKEY_TOKEN" in process.env)']

let command: BuiltCommand
let as: ScriptedAuthorizationServer
let bearer: McpServerFixture
let home: Home
let isHostile = false
const canaries = new Canaries()
const secretVariable = canaries.make('client secret')
const printed = new Map<string, Finished>()

beforeAll(async () => {
  command = await buildCommand()
  home = await createHome()
  as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      metadata: (_, { body }) => ({
        body: { ...(body as object), token_endpoint_auth_methods_supported: ['client_secret_basic'] },
      }),
      registration: (_, answer) => {
        const registration_access_token = canaries.make('registration_access_token')
        const body = {
          ...(answer.body as object),
          registration_access_token,
          registration_client_uri: `${as.issuer}/1`,
        }
        canaries.ofAnswer({ body })
        return { ...answer, body }
      },
      authorize: (_, answer) => void canaries.ofAnswer(answer),
      token: (request, answer) => {
        const said = carried(request).join(' ')
        if (isHostile) return tokenError('invalid_grant', said)
        const body = { ...(answer.body as object), id_token: canaries.make('id_token') }
        canaries.ofAnswer({ body })
        return { ...answer, body }
      },
      revocation: (request) => (isHostile ? tokenError('invalid_request', request.body) : undefined),
      mcp: (request, refusal) =>
        isHostile && request.headers.authorization
          ? { status: 400, body: `You sent ${request.headers.authorization}` }
          : refusal.status === undefined
            ? undefined
            : refusal,
    },
  })
  const token = canaries.make('bearer token')
  bearer = await startMcpServer({ protect: { kind: 'bearer', token } })
  const envFile = join(home.path, 'secrets.env')
  writeFileSync(envFile, `FROM_FILE=${canaries.make('env file')}\n`, { mode: 0o600 })
  await home.configure({
    mcpServers: {
      demo: { url: as.url, headers: { 'X-Api-Key': canaries.make('configured header') } },
      api: { url: `${bearer.url}?api_key=${canaries.make('query of a configured URL')}`, auth: token },
      wrong: { url: bearer.url, auth: canaries.make('wrong bearer token') },
      broken: {
        url: as.url,
        auth: { client_secret: canaries.make('secret of a broken entry'), clientid: 'x' },
      },
      files: {
        command: process.execPath,
        args: [stdioServer, '${APP_SECRET}'],
        env: { GIVEN: canaries.make('configured environment') },
        envFile,
      },
    },
  })
  const unnamed = `${as.url}?api_key=${canaries.make('query of a URL without a name')}`
  const port = String(await freePort())
  const login = ['login', 'demo', '--interactive', 'always', '--callback-port', port]
  for (const flags of [['--debug'], ['--debug', '--json']]) {
    const each = async (...args: string[]) => run([...args, ...flags], `${printed.size} ${args.join(' ')}`)
    await each('status')
    await each(...login)
    await each('tools', 'demo')
    await each('call', 'demo', 'whoami')
    await each('status', 'demo')
    await each('tools', 'wrong')
    await each('tools', 'broken')
    await each('login', 'api')
    await each('login', 'demo', '--client-secret', secretVariable)
    await each('login', unnamed, '--interactive', 'always', '--callback-port', port)
    await each('status')
    await each('import', 'mcp-use', unnamed)
    await each('logout', unnamed)
    await each('login', unnamed, '--interactive', 'always', '--callback-port', port)
    isHostile = true
    await each('tools', 'demo')
    await each('logout', 'demo')
    await each(...login)
    await changeStoredLogins(join(home.path, '.mcp_use'), expired)
    await each('call', 'demo', 'whoami')
    isHostile = false
    await each('logout', '--all')
  }
  for (const args of [
    ['tools', 'api'],
    ['tools', 'files'],
    ['token', 'wrong-name'],
    ['import', 'mcp-use'],
    ['import', 'mcp-remote'],
    ['trust', join(home.path, '.config', 'latchkey', 'mcp.json')],
  ]) {
    await run([...args, '--debug'], args.join(' '))
  }
  await run([...login, '--debug'], 'login again')
  await run(['token', 'demo', '--debug'], 'token, ')
  await run(['token', 'demo', '--json', '--debug'], 'token, as JSON')
  await run(['exec', 'demo', '--debug', '--', ...SAY], 'exec')
}, 240_000)
afterAll(async () => {
  await Promise.all([as.close(), bearer.close()])
  await command.remove()
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

async function run(args: string[], name: string): Promise<void> {
  printed.set(name, await command.run(args, home, { env: { APP_SECRET: secretVariable } }))
}

/** Runs a command under strace; resolves to what the programs were given that it started. */
async function startedBy(...args: string[]): Promise<string[]> {
  const log = join(home.path, 'trace')
  const strace = ['-f', '-v', '-s', '100000', '-e', 'trace=execve', '-o', log]
  const child = spawn(STRACE, [...strace, process.execPath, command.bin, ...args], {
    env: { ...home.env, APP_SECRET: secretVariable },
    cwd: home.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { code, stderr } = await finished(child)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  // The first is the command itself.
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => /execve\(.*= 0$/.test(line))
    .slice(1)
}

/** The lines that show the person where to sign in. */
const authorizationUrl = () => new RegExp(`^${as.issuer}/authorize\\?\\S+$`)

/** Without the three exceptions: each is looked at by itself below. */
function withoutExceptions(name: string, { stdout, stderr }: Finished): string {
  const lines = stderr.split('\n').filter((line) => !authorizationUrl().test(line))
  return (name.startsWith('token, ') ? '' : stdout) + lines.join('\n')
}

test('every command ran, in success and in failure', () => {
  const commands = [...answerAtOnce(['--help'])!.matchAll(/^ {2}latchkey (\w+)/gm)].map(([, name]) => name!)
  const ran = [...printed.keys()].map((line) => line.replace(/^\d+ /, '').split(/[ ,]/)[0])
  expect(ran).toEqual(expect.arrayContaining(commands))
  const codes = new Set([...printed.values()].map(({ code }) => code))
  expect([...codes].sort()).toEqual(expect.arrayContaining([0, 1, 2, 5]))
  expect(canaries.names).toEqual(
    expect.arrayContaining([
      'access_token',
      'authorization header (Basic)',
      'client_secret',
      'code',
      'code_challenge',
      'code_verifier',
      'id_token',
      'refresh_token',
      'registration_access_token',
      'state',
    ]),
  )
})

test('[STORE-04] none of them printed 8 characters of a secret', () => {
  const places = Object.fromEntries(
    [...printed].map(([name, finished]) => [name, withoutExceptions(name, finished)]),
  )
  expect(canaries.leaksIn(places).join('\n')).toBe('')
})

describe('the exceptions, each of them the only one', () => {
  const leaksOf = (text: string) => canaries.leaksIn({ here: text }).map((leak) => leak.split(' in here')[0])

  test('stdout of `token` is the access token', () => {
    expect(leaksOf(printed.get('token, ')!.stdout)).toEqual(['access_token'])
    expect(leaksOf(printed.get('token, as JSON')!.stdout)).toEqual(['access_token'])
  })

  test('a sign-in shows its URL on one line of stderr: state and challenge, no other secret', () => {
    const lines = printed
      .get('login again')!
      .stderr.split('\n')
      .filter((line) => authorizationUrl().test(line))
    expect(lines).toHaveLength(1)
    expect(leaksOf(lines[0]!).sort()).toEqual(['code_challenge', 'state'])
  })

  requires('strace', existsSync(STRACE))('what other programs are given', () => {
    test('the program of `exec` has the token in its environment, and in no argument', async () => {
      const [started = ''] = await startedBy('exec', 'demo', '--', ...SAY)
      const [argv = '', environment = ''] = started.split('], [')
      // What is in the environment of the command itself is its caller's.
      expect(leaksOf(environment.replace(secretVariable, ''))).toEqual(['access_token'])
      expect(environment).toContain('"LATCHKEY_TOKEN=')
      expect(leaksOf(argv)).toEqual([])
    })

    test('a browser has nothing but a short loopback URL, and no variable that is named like a secret', async () => {
      const port = String(await freePort())
      const started = await startedBy('login', 'demo', '--interactive', 'always', '--callback-port', port)
      expect(started.length).toBeGreaterThan(0)
      expect(canaries.leaksIn({ browser: started.join('\n') })).toEqual([])
    })

    test('a stdio server has its own environment, and nothing of a login', async () => {
      const started = await startedBy('tools', 'files')
      const others = started.join('\n').replaceAll(secretVariable, '')
      expect(leaksOf(others).sort()).toEqual(['configured environment', 'env file'])
    })
  })
})

test('what is left in the home of the person is for that person only', () => {
  const readable = readdirSync(home.path, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const stats = statSync(join(home.path, name))
    return stats.isFile() && (stats.mode & 0o077) !== 0
  })
  const places = Object.fromEntries(
    readable
      // Written by the browser of this test.
      .filter((name) => name !== 'browser.log' && name !== 'trace')
      .map((name) => [name, readFileSync(join(home.path, name), 'latin1')]),
  )
  expect(canaries.leaksIn(places)).toEqual([])
})
