import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, type Home } from './fixtures/built-command.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'

let command: BuiltCommand
let as: AuthorizationServer
let server: McpServerFixture
let home: Home

beforeAll(async () => {
  command = await buildCommand()
  as = await startAuthorizationServer({
    registration: false,
    features: { clientCredentials: { enabled: true } },
    clients: [
      {
        client_id: 'machine',
        client_secret: 'machine-secret',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
  })
  server = await startProtectedServer(as)
})
afterAll(async () => {
  await Promise.all([server, as].map((each) => each.close()))
  await command.remove()
})

beforeEach(async () => {
  home = await createHome()
  const secret = join(home.path, 'secret')
  writeFileSync(secret, 'machine-secret\n')
  const auth = { grant: 'client_credentials', client_id: 'machine', client_secret_file: secret }
  await home.configure({ mcpServers: { nightly: { url: server.url, auth } } })
  as.requests.clear()
})
afterEach(() => rmSync(home.path, { recursive: true, force: true, maxRetries: 5 }))

/** As in CI: no terminal, and nobody may be asked. */
const run = (...args: string[]) => command.run(args, home)

test('login, status, call, token and logout work where nobody is', async () => {
  const login = await run('login', 'nightly', '--interactive', 'never')
  expect(login).toMatchObject({ code: 0 })
  expect(login.stdout).toContain('OAuth, grant client_credentials, client machine')
  expect((await run('status', 'nightly')).stdout).toMatch(/nightly: signed in[\s\S]*renewed without you/)
  expect((await run('call', 'nightly', 'echo', 'text=hello')).stdout).toContain('hello')
  const token = await run('token', 'nightly')
  expect(as.verifyAccessToken(token.stdout.trim(), server.url)).toMatchObject({ client_id: 'machine' })
  expect(as.requests.to('/token')).toHaveLength(1)
  expect(as.requests.to('/auth')).toEqual([])
  const all = [login, token].map(({ stdout, stderr }) => stdout + stderr).join()
  expect(all).not.toContain('machine-secret')
  await run('logout', 'nightly')
  expect((await run('status', 'nightly')).stdout).toContain('not signed in')
})

test('token gets one where there is none, and a wrong secret is "refused"', async () => {
  expect(await run('token', 'nightly')).toMatchObject({ code: 0 })
  await run('logout', 'nightly')
  writeFileSync(join(home.path, 'secret'), 'another')
  const refused = await run('token', 'nightly')
  expect(refused).toMatchObject({ code: 5, stdout: '' })
  expect(refused.stderr).toContain('token_request_refused')
})

test('a login that only the store knows is shown, and can be ended', async () => {
  await run('login', 'nightly')
  await home.configure({ mcpServers: {} })
  const status = await run('status')
  expect(status.stdout).toContain('grant client_credentials')
  expect(status.stderr).toBe('')
  await run('logout', '--all')
  expect((await run('status')).stdout).toContain('No login is stored')
})
