import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basicAuth, headers } from '../src/config/custom-auth.ts'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { finished } from './fixtures/built-command.ts'
import { Canaries, type Places, visible } from './fixtures/canaries.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { connectPostgres, connectRedis, hasPostgres, hasRedis } from './fixtures/databases.ts'
import { carried } from './fixtures/echo.ts'
import { startMcpServer } from './fixtures/mcp-server.ts'
import { packedPackage } from './fixtures/packed-package.ts'
import { startScriptedAuthorizationServer, tokenError } from './fixtures/scripted-authorization-server.ts'
import { WATCHED } from './fixtures/watched.ts'
import { failureOf, openWorkbench } from './fixtures/workbench.ts'
import { requires } from './requires.ts'

// Whatever a program holds of latchkey may end in its logs: none of it shows a secret, however deep one looks.

const [redis, postgres] = await Promise.all([hasRedis(), hasPostgres()])
const stdioServer = fileURLToPath(new URL('./fixtures/stdio-server.mjs', import.meta.url))
const opened = closedAfterEach()
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-leaks-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function shown(things: Record<string, unknown>): Places {
  return Object.assign({}, ...Object.entries(things).map(([name, value]) => visible(name, value)))
}

test('a client, its sessions and what it says of a login', async () => {
  const canaries = new Canaries()
  const as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      token: (_, answer) => void canaries.ofAnswer(answer),
      registration: (_, answer) => void canaries.ofAnswer(answer),
      authorize: (_, answer) => void canaries.ofAnswer(answer),
    },
  })
  const token = canaries.make('bearer token')
  const api = await startMcpServer({ protect: { kind: 'bearer', token } })
  const own = await openWorkbench()
  opened.push(as, api, own)
  const envFile = join(folder, 'secrets.env')
  await writeFile(envFile, `FROM_FILE=${canaries.make('env file')}\n`)
  process.env.FROM_THIS_PROCESS = canaries.make('inherited environment')
  const query = canaries.make('query of a configured URL')
  const header = { 'X-Api-Key': canaries.make('configured header') }
  const servers = {
    demo: { url: as.url, headers: header },
    api: { url: `${api.url}?api_key=${query}`, auth: token },
    files: {
      command: process.execPath,
      args: [stdioServer, '--key', canaries.make('argument of a program')],
      env: { GIVEN: canaries.make('configured environment') },
      envFile,
    },
  }
  const client = own.client(servers)
  const { sessions, errors } = await client.createAllSessions()
  delete process.env.FROM_THIS_PROCESS
  expect({ names: Object.keys(sessions).sort(), errors }).toEqual({
    names: ['api', 'demo', 'files'],
    errors: {},
  })
  const demo = { name: 'demo', ...servers.demo }
  const held = {
    client,
    sessions,
    fetch: own.latchkey.authorizedFetch(demo),
    bareFetch: own.latchkey.authorizedFetch(servers.api),
    status: await own.latchkey.status(demo),
    'status of a static login': await own.latchkey.status(servers.api),
    'basic authentication': basicAuth('someone', canaries.make('password')),
    'authentication by headers': headers({ 'X-Other': canaries.make('custom header') }),
  }
  expect(canaries.leaksIn(shown(held))).toEqual([])
  expect(canaries.names).toEqual(expect.arrayContaining(['access_token', 'refresh_token', 'code', 'state']))
})

test.each([
  ['that is not there', { command: '/nonexistent/program' }],
  ['whose folder is not there', { command: process.execPath, cwd: '/nonexistent' }],
  ['that ends at once', { command: process.execPath, cwd: tmpdir() }],
])('a program %s: the error shows none of its arguments', async (_what, program) => {
  const canaries = new Canaries()
  const own = await openWorkbench()
  opened.push(own)
  const args = ['-e', 'process.exit(3)', canaries.make('argument of a program')]
  const refusal = await failureOf(own.client({ files: { ...program, args } }).createSession('files'))
  expect(refusal).toMatchObject({ code: 'connect_failed', cause: expect.any(Error) })
  expect(canaries.leaksIn(shown({ refusal, events: own.events }))).toEqual([])
})

test('a sign-in of a web application: the URL is the one exception, and in nothing but its two members', async () => {
  const canaries = new Canaries()
  const as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: { token: (_, answer) => void canaries.ofAnswer(answer) },
  })
  const own = await openWorkbench()
  opened.push(as, own)
  const demo = { name: 'demo', url: as.url }
  const redirectUri = 'http://localhost:8080/callback'
  const pending = await own.latchkey.beginLogin(demo, { redirectUri })
  const { authorizationUrl, state, ...rest } = pending
  canaries.add('state', state)
  expect(new URL(authorizationUrl).searchParams.get('state')).toBe(state)
  expect(canaries.leaksIn(shown({ rest, events: own.events }))).toEqual([])
})

test('a sign-in of a web application that fails: the answer of the token endpoint repeats what it was sent', async () => {
  const canaries = new Canaries()
  const as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      authorize: (_, answer) => void canaries.ofAnswer(answer),
      token: (request) => tokenError('invalid_grant', carried(request).join(' ')),
    },
  })
  const own = await openWorkbench()
  opened.push(as, own)
  const demo = { name: 'demo', url: as.url }
  const redirectUri = 'http://localhost:8080/callback'
  const { authorizationUrl, state } = await own.latchkey.beginLogin(demo, { redirectUri })
  canaries.add('state', state)
  const { headers } = await fetch(authorizationUrl, { redirect: 'manual' })
  const refusal = await failureOf(own.latchkey.completeLogin(demo, `${headers.get('location')}`))
  expect(refusal).toMatchObject({ code: 'token_request_refused' })
  expect(canaries.leaksIn(shown({ refusal, events: own.events }))).toEqual([])
  expect(canaries.names).toEqual(expect.arrayContaining(['code', 'code_verifier', 'state']))
})

test('a program that ends by an error of ours: what Node prints of it, and its report of the crash', async () => {
  const canaries = new Canaries()
  let isHostile = false
  const as = await startScriptedAuthorizationServer({
    mcp: {},
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      token: (_, answer) => void canaries.ofAnswer(answer),
      mcp: (request) =>
        isHostile ? { status: 400, body: `You sent ${carried(request).join(' ')}` } : undefined,
    },
  })
  const own = await openWorkbench()
  opened.push(as, own)
  const demo = { url: as.url, headers: { 'X-Api-Key': canaries.make('configured header') } }
  await own.login(demo)
  isHostile = true
  const { project } = await packedPackage()
  const reports = await mkdtemp(join(folder, 'reports-'))
  const program = `import { MCPClient } from 'latchkey'
    import { text } from 'node:stream/consumers'
    const servers = JSON.parse(await text(process.stdin))
    await new MCPClient({ mcpServers: servers }, { interactive: 'never' }).createSession('demo')`
  const flags = ['--report-uncaught-exception', `--report-directory=${reports}`, '--input-type=module']
  const env = { PATH: process.env.PATH, LATCHKEY_HOME: own.home, ...WATCHED }
  const child = spawn(process.execPath, [...flags, '-e', program], { cwd: project, env })
  child.stdin.end(JSON.stringify({ demo }))
  const { code, stderr } = await finished(child)
  const [report = ''] = await readdir(reports)
  const crash = await readFile(join(reports, report), 'utf8')
  expect(code).toBe(1)
  expect(stderr).toContain("code: 'connect_failed'")
  expect(JSON.parse(crash).javascriptStack.message).toContain('demo')
  expect(canaries.leaksIn({ stderr, crash })).toEqual([])
  expect(canaries.names).toContain('access_token')
})

describe('stores', () => {
  const keys = (canaries: Canaries) => ({ current: 'k1', keys: { k1: canaries.add('store key', KEY) } })
  const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => (index * 37 + 11) % 256)).toString(
    'base64',
  )
  const key = {
    kind: 'tokens',
    serverDomain: 'mcp.example.com',
    account: null,
    identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
  } as const
  const filled = (canaries: Canaries) => ({ ...key.identity, access_token: canaries.make('access token') })

  test('in memory and in files', async () => {
    const canaries = new Canaries()
    const stores = { memory: createMemoryStore(), files: createFileStore({ home: folder, emit: () => {} }) }
    for (const store of Object.values(stores)) await store.write(key, filled(canaries))
    expect(canaries.leaksIn(shown(stores))).toEqual([])
  })

  requires('redis', redis)('in Redis', () => {
    test('with its keys and records', async () => {
      const canaries = new Canaries()
      const client = await connectRedis()
      opened.push({ close: async () => client.destroy() })
      const store = createRedisStore({ client, keys: keys(canaries), prefix: `leaks-${process.pid}:` })
      await store.write(key, filled(canaries))
      await store.delete(key)
      expect(canaries.leaksIn(shown({ store }))).toEqual([])
      const wrong = { current: 'k1', keys: { k1: canaries.make('half a key').slice(0, 20) } }
      const refusal = await failureOf((async () => createRedisStore({ client, keys: wrong }))())
      expect(canaries.leaksIn(shown({ refusal }))).toEqual([])
    })
  })

  requires('postgres', postgres)('in PostgreSQL', () => {
    test('with its keys, also when it fails', async () => {
      const canaries = new Canaries()
      const pool = connectPostgres()
      opened.push({ close: () => pool.end() })
      const table = `latchkey_leaks_${process.pid}`
      const store = createPostgresStore({ pool, keys: keys(canaries), table })
      const missing = await failureOf(store.write(key, filled(canaries)))
      expect(canaries.leaksIn(shown({ store, missing }))).toEqual([])
    })
  })
})
