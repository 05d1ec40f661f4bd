import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, finished, type Home } from './fixtures/built-command.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { freePort } from './fixtures/workbench.ts'

let command: BuiltCommand
let as: AuthorizationServer
let demo: McpServerFixture
let bearer: McpServerFixture
let home: Home

beforeAll(async () => {
  command = await buildCommand()
  as = await startAuthorizationServer({ features: { dPoP: { enabled: true } } })
  demo = await startProtectedServer(as)
  bearer = await startMcpServer({ protect: { kind: 'bearer', token: 'right-token' } })
})
afterAll(async () => {
  await Promise.all([demo, bearer, as].map((server) => server.close()))
  await command.remove()
})
beforeEach(async () => {
  home = await createHome()
  const servers = { demo: { url: demo.url }, api: { url: bearer.url, auth: 'right-token' } }
  await home.configure({ mcpServers: servers })
})
afterEach(() => rmSync(home.path, { recursive: true, force: true, maxRetries: 5 }))

const run = (...args: string[]) => command.run(args, home)
const signIn = async (...flags: string[]) => {
  const port = String(await freePort())
  return run('login', 'demo', '--interactive', 'always', '--callback-port', port, ...flags)
}
const storeHome = () => join(home.path, '.mcp_use')
const storedToken = async () => (await storedLogins(storeHome()))[0]!.record.access_token
/** A program that says what it was given. */
const SAY = [
  process.execPath,
  '-e',
  'console.log(JSON.stringify([process.argv.slice(1), process.env.LATCHKEY_TOKEN, process.env.API, process.env.HOME]))',
]

describe('the program', () => {
  test('has the token in its environment, beside all that is there, and its arguments as they were typed', async () => {
    const words = ['two words', '$HOME', '--json', '--env', 'X', '; exit 9']
    const { code, stdout, stderr } = await run('exec', 'api', '--', ...SAY, ...words)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual([words, 'right-token', null, home.path])
  })

  test('has it under the name that is asked for, and under no other', async () => {
    const { stdout } = await run('exec', 'api', '--env', 'API', '--', ...SAY)
    expect(JSON.parse(stdout)).toEqual([[], null, 'right-token', home.path])
  })

  test('reads and writes where latchkey would', async () => {
    const copy = 'process.stdin.pipe(process.stdout); process.stderr.write("said")'
    const ended = await command.run(['exec', 'api', '--', process.execPath, '-e', copy], home, {
      input: 'from outside',
    })
    expect(ended).toMatchObject({ code: 0, stdout: 'from outside', stderr: 'said' })
  })

  test('gets a renewed token, never an expired one', async () => {
    expect((await signIn()).code).toBe(0)
    await changeStoredLogins(storeHome(), expired)
    const before = await storedToken()
    const { code, stdout } = await run('exec', 'demo', '--', ...SAY)
    expect(code).toBe(0)
    const [, token] = JSON.parse(stdout)
    expect(token).toBe(await storedToken())
    expect(token).not.toBe(before)
  })
})

describe('how it ended', () => {
  const program = () => join(home.path, 'program')

  test('its exit code is the exit code', async () => {
    expect((await run('exec', 'api', '--', process.execPath, '-e', 'process.exit(77)')).code).toBe(77)
  })

  test('a signal that ended it is 128 and its number', async () => {
    const { code } = await run(
      'exec',
      'api',
      '--',
      process.execPath,
      '-e',
      'process.kill(process.pid, "SIGKILL")',
    )
    expect(code).toBe(137)
  })

  test('127 when there is no such program', async () => {
    const { code, stderr } = await run('exec', 'api', '--', program())
    expect({ code, stderr }).toEqual({ code: 127, stderr: `latchkey: "${program()}" was not found.\n` })
  })

  test('126 when it may not be run', async () => {
    writeFileSync(program(), '#!/bin/sh\n')
    chmodSync(program(), 0o644)
    const { code, stderr } = await run('exec', 'api', '--', program())
    expect({ code, stderr }).toEqual({
      code: 126,
      stderr: `latchkey: "${program()}" could not be run (EACCES).\n`,
    })
  })

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s is passed on, and its end waited for',
    async (name) => {
      const heed = `process.once('${name}', () => setTimeout(() => process.exit(42), 700)); setInterval(() => {}, 1e6); console.log('ready')`
      const child = command.start(['exec', 'api', '--', process.execPath, '-e', heed], home)
      const ended = finished(child)
      await new Promise((resolve) => child.stdout!.once('data', resolve))
      child.kill(name)
      // Longer than a command has that was cancelled itself.
      expect(await ended).toMatchObject({ code: 42, stdout: 'ready\n', stderr: '' })
    },
  )
})

describe('nothing is started', () => {
  const touched = () => join(home.path, 'touched')
  const TOUCH = () => [
    process.execPath,
    '-e',
    `require('fs').writeFileSync(${JSON.stringify(touched())}, '')`,
  ]
  afterEach(() => expect(existsSync(touched())).toBe(false))

  test('where a login is needed: exit code 4, no browser', async () => {
    const { code, stdout, stderr } = await run('exec', 'demo', '--', ...TOUCH())
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toContain('Run: latchkey login demo')
    expect(existsSync(home.browserLog)).toBe(false)
  })

  test('with a token that is bound to a key: alone it is worth nothing', async () => {
    expect((await signIn('--dpop')).code).toBe(0)
    const { code, stderr } = await run('exec', 'demo', '--', ...TOUCH())
    expect(code).toBe(1)
    expect(stderr).toContain('(DPoP)')
  })

  test.each([
    [['exec', 'api', 'true'], 'stands after --'],
    [['exec', 'api'], 'stands after --'],
    [['exec', 'api', '--'], 'COMMAND is missing'],
    [['exec', '--', 'api', 'true'], 'stands after --'],
    [['exec', 'api', 'x', '--', 'true'], 'stands after --'],
    [['exec', 'api', '--json', '--', 'true'], 'no use for --json'],
    [['exec', 'api', '--env', '1X', '--', 'true'], 'no name of a variable'],
    [['exec', 'api', '--env', 'A=B', '--', 'true'], 'no name of a variable'],
  ])('%j', async (args, message) => {
    const { code, stderr } = await run(...args)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})

test('the token is in no argument of any process', async () => {
  const look =
    'console.log(require("fs").readFileSync("/proc/" + process.ppid + "/cmdline", "latin1") + process.argv.join())'
  const { stdout } = await run('exec', 'api', '--', process.execPath, '-e', look)
  expect(stdout).toContain('exec')
  expect(stdout).not.toContain('right-token')
})

test('nor in the environment of latchkey itself', async () => {
  const look = 'console.log(require("fs").readFileSync("/proc/" + process.ppid + "/environ", "latin1"))'
  const { stdout } = await run('exec', 'api', '--', process.execPath, '-e', look)
  expect(stdout).toContain(`HOME=${home.path}`)
  expect(stdout).not.toContain('right-token')
})

test('the help and the README name it', async () => {
  expect((await run('exec', '--help')).stdout).toContain('default LATCHKEY_TOKEN')
  expect(readFileSync(new URL('../README.md', import.meta.url), 'utf8')).toContain('latchkey exec SERVER')
})
