import { readFileSync, rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, type Home } from './fixtures/built-command.ts'
import { createDpopVerifier, type DpopVerifier } from './fixtures/dpop-verifier.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'

// The command at a server that takes only tokens bound to a key.

let command: BuiltCommand
let as: AuthorizationServer
let mcp: McpServerFixture
let verifier: DpopVerifier
let home: Home

beforeAll(async () => {
  command = await buildCommand()
})
afterAll(() => command.remove())
beforeEach(async () => {
  home = await createHome()
  as = await startAuthorizationServer({ features: { dPoP: { enabled: true } } })
  verifier = createDpopVerifier()
  mcp = await startProtectedServer(as, { protection: { dpop: verifier } })
})
afterEach(async () => {
  await Promise.all([mcp.close(), as.close()])
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

test('without --dpop it says what to type, and opens no browser', async () => {
  const { code, stderr } = await command.run(['login', mcp.url, '--interactive', 'always'], home)
  expect(code).toBe(2)
  expect(stderr).toContain('(dpop_required)')
  expect(stderr).toContain('latchkey login --dpop')
  expect(as.requests.to('/auth')).toEqual([])
})

test('with --dpop it signs in; later commands use the key without being told, and print nothing of it', async () => {
  const login = await command.run(['login', mcp.url, '--dpop', '--interactive', 'always', '--debug'], home)
  expect(login.code).toBe(0)
  expect(login.stdout).toContain('to a key kept with the login (DPoP)')
  const call = await command.run(['call', mcp.url, 'whoami', '--debug'], home)
  expect(call).toMatchObject({ code: 0, stdout: 'alice\n' })
  const status = await command.run(['status', mcp.url, '--json'], home)
  expect(status.stdout).toContain('"token_type": "dpop"')
  expect(verifier.refusals).toEqual([])

  const stored = readFileSync(/stored {4}(.+)/.exec(login.stdout)![1]!, 'utf8')
  const [, d = ''] = /"d": "([\w-]{43})"/.exec(stored) ?? []
  expect(d).not.toBe('')
  const printed = [login, call, status].map(({ stdout, stderr }) => stdout + stderr).join('')
  expect(printed).not.toContain(d)
})

test('token hands out no token that is worth nothing alone', async () => {
  await command.run(['login', mcp.url, '--dpop', '--interactive', 'always'], home)
  const { code, stdout, stderr } = await command.run(['token', mcp.url], home)
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toContain('latchkey call')
  expect(stderr).toContain('(unsupported)')
})
