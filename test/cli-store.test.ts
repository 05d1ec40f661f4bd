import { rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serverDomain } from '../src/credentials/identity.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, type Home } from './fixtures/built-command.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { hasSecretService, type Session, startSession } from './fixtures/secret-service.ts'
import { requires } from './requires.ts'

let command: BuiltCommand
let as: AuthorizationServer
let demo: McpServerFixture
let home: Home
beforeAll(async () => {
  command = await buildCommand()
  as = await startAuthorizationServer()
  demo = await startProtectedServer(as)
})
afterAll(async () => {
  await Promise.all([demo.close(), as.close()])
  await command.remove()
})
beforeEach(async () => {
  home = await createHome()
})
afterEach(() => rmSync(home.path, { recursive: true, force: true, maxRetries: 5 }))

const storedFile = () =>
  readFile(join(home.path, '.mcp_use', 'tokens', `${serverDomain(demo.url)}.json`), 'utf8')

describe('without a Secret Service', () => {
  const run = (...args: string[]) =>
    command.run(args, home, { env: { DBUS_SESSION_BUS_ADDRESS: `unix:path=${home.path}/none` } })

  test('--store keychain ends before a browser opens', async () => {
    const { code, stderr } = await run('login', demo.url, '--interactive', 'always', '--store', 'keychain')
    expect(code).toBe(1)
    expect(stderr).toMatch(/keychain of the system cannot be used.*\(store_failed\)/s)
    await expect(readFile(home.browserLog, 'utf8')).rejects.toThrow('ENOENT')
    await expect(storedFile()).rejects.toThrow('ENOENT')
  })

  test('--store auto warns and stores in clear text', async () => {
    const { code, stderr } = await run('login', demo.url, '--interactive', 'always', '--store', 'auto')
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('warning: The keychain'),
    })
    expect(await storedFile()).toContain('access_token')
    expect((await run('token', demo.url)).code).toBe(0)
  })

  test('a misspelt store is an error, not clear text', async () => {
    expect(await run('login', demo.url, '--store', 'keychian')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--store is file, memory, keychain, auto.'),
    })
    const env = { LATCHKEY_STORE: 'keychian' }
    expect(await command.run(['status', demo.url], home, { env })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('LATCHKEY_STORE: found'),
    })
  })

  test('the command that is to be typed next has the same store', async () => {
    const { stdout } = await run('status', demo.url, '--store', 'auto')
    expect(stdout).toContain(`latchkey login ${demo.url} --store auto`)
  })
})

requires('secret-service', hasSecretService())('with a Secret Service', () => {
  let session: Session
  beforeAll(async () => {
    session = await startSession()
  })
  afterAll(() => session.close())

  const run = (args: string[], store?: string) =>
    command.run(args, home, {
      env: {
        DBUS_SESSION_BUS_ADDRESS: session.env.DBUS_SESSION_BUS_ADDRESS,
        ...(store !== undefined && { LATCHKEY_STORE: store }),
      },
    })

  test('a login sealed with the keychain: all commands work with it, and none prints what is sealed', async () => {
    const signedIn = await run(['login', demo.url, '--interactive', 'always', '--store', 'keychain'])
    expect(signedIn).toMatchObject({ code: 0 })
    const text = await storedFile()
    expect(text).toContain('"sealed": "v1.')
    expect(text).not.toMatch(/access_token|refresh_token|"client_id"/)

    const token = await run(['token', demo.url], 'keychain')
    expect(token).toMatchObject({ code: 0, stderr: '' })
    expect(text).not.toContain(token.stdout.trim())
    expect(await run(['call', demo.url, 'whoami', '--store', 'auto'])).toMatchObject({ code: 0 })

    const without = await run(['token', demo.url])
    expect(without).toMatchObject({ code: 1, stdout: '' })
    expect(without.stderr).toMatch(/sealed with the key.*--store keychain.*\(store_failed\)/s)
    expect(await storedFile()).toBe(text)

    expect(await run(['logout', demo.url], 'keychain')).toMatchObject({ code: 0 })
    expect(JSON.parse(await storedFile()).records).toEqual([])
  })

  test('a login in clear text is used by the store keychain', async () => {
    expect(await run(['login', demo.url, '--interactive', 'always'])).toMatchObject({ code: 0 })
    const plain = await run(['token', demo.url])
    expect(await run(['token', demo.url], 'keychain')).toEqual({ ...plain, duration: expect.any(Number) })
  })
})
