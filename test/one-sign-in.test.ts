import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { HttpServerConfig } from '../src/config/input.ts'
import {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  startAuthorizationServer,
} from './fixtures/authorization-server.ts'
import { visit } from './fixtures/consent-browser.mjs'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { freePort } from './fixtures/workbench.ts'
import {
  buildSignInProgram,
  openedBy,
  type SignInProcess,
  type SignInProgram,
  type SignInWork,
  untilQueued,
} from './sign-in-program.ts'

let program: SignInProgram
let home: string
const processes: SignInProcess[] = []
const servers: { close(): Promise<void> }[] = []
beforeAll(async () => {
  program = await buildSignInProgram()
})
afterAll(() => program.remove())
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-one-sign-in-'))
})
afterEach(async () => {
  for (const each of processes) each.kill()
  await Promise.all(processes.splice(0).map((each) => each.end()))
  await Promise.all(servers.splice(0).map((server) => server.close()))
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

/** A server that lists its tools to everybody and wants a login for calling them. */
const PUBLIC = ['initialize', 'notifications/initialized', 'server/discover', 'tools/list']

async function startServer(
  options: AuthorizationServerOptions = {},
): Promise<{ server: McpServerFixture; authorizationServer: AuthorizationServer }> {
  const authorizationServer = await startAuthorizationServer(options)
  const server = await startProtectedServer(authorizationServer, { protection: { publicMethods: PUBLIC } })
  servers.push(server, authorizationServer)
  return { server, authorizationServer }
}

function start(server: HttpServerConfig, work: Partial<SignInWork> = {}): SignInProcess {
  const process = program.start(home, {
    server,
    hasBrowser: true,
    ...work,
    options: { interactive: 'always', ...work.options },
  })
  processes.push(process)
  return process
}

const three = (server: HttpServerConfig, work?: Partial<SignInWork>): SignInProcess[] =>
  Array.from({ length: 3 }, () => start(server, work))

/** The one browser tab there is, once it is there. */
async function onlyTab(among: readonly SignInProcess[]): Promise<string> {
  await expect.poll(() => openedBy(among)).toHaveLength(1)
  return openedBy(among)[0]!
}

/** Waits for the process that has the tab, and tells it from the others. */
async function whoAsks(
  among: readonly SignInProcess[],
): Promise<{ asking: SignInProcess; others: SignInProcess[]; tab: string }> {
  const tab = await onlyTab(among)
  const asking = among.find(({ opened }) => opened.includes(tab))!
  return { asking, others: among.filter((each) => each !== asking), tab }
}

const codesIn = ({ requests }: AuthorizationServer) =>
  requests.to('/token').filter((request) => parameters(request).grant_type === 'authorization_code')

describe('a storm of 401s: three processes, each with 20 calls and 10 streams at once', () => {
  test('asks the person once, and all calls are made', async () => {
    const { server, authorizationServer } = await startServer()
    const all = three({ url: server.url })
    await Promise.all(all.map((each) => each.ask('open')))
    const calls = all.map((each) => each.ask('calls', 20))
    const streams = all.map((each) => each.ask('streams', 10))

    const { others, tab } = await whoAsks(all)
    await untilQueued(others, 'same_login')
    // The background never waits: its answers are there although nobody has signed in yet.
    for (const { results } of await Promise.all(streams)) {
      expect(results).toEqual(Array(10).fill('login_required'))
    }
    await visit(tab)
    const outcomes = await Promise.all(calls)
    for (const { results } of outcomes) expect(results).toEqual(Array(20).fill('alice'))
    expect(openedBy(all)).toHaveLength(1)
    expect(codesIn(authorizationServer)).toHaveLength(1)
    expect(authorizationServer.requests.to('/reg')).toHaveLength(1)
    console.log(`one-sign-in: 3 processes, 60 calls, 30 streams: ${openedBy(all).length} browser, 60 answers`)
  })

  test('asks nobody where nobody may be asked, and says so although another process is signing in', async () => {
    const { server } = await startServer()
    const asking = start({ url: server.url })
    void asking.ask('login')
    await onlyTab([asking])
    const all = three({ url: server.url }, { hasBrowser: false, options: { interactive: 'auto' } })
    await Promise.all(all.map((each) => each.ask('open')))
    const outcomes = await Promise.all(
      all.flatMap((each) => [each.ask('calls', 20), each.ask('streams', 10)]),
    )
    for (const { results } of outcomes) expect(new Set(results)).toEqual(new Set(['login_required']))
    expect(openedBy(all)).toHaveLength(0)
    expect(all.flatMap((each) => each.told('sign_in_queued'))).toHaveLength(0)
    const slowest = Math.max(...outcomes.map(({ took }) => took))
    console.log(
      `one-sign-in: not interactive: 0 browsers, 90 times login_required, the last after ${slowest} ms`,
    )
  })
})

describe('three processes that want the same login', () => {
  test('share one tab, and all of them work afterwards', async () => {
    const { server, authorizationServer } = await startServer()
    const all = three({ url: server.url })
    const logins = all.map((each) => each.ask('login'))
    const { others, tab } = await whoAsks(all)
    await untilQueued(others, 'same_login')
    await visit(tab)
    for (const { results } of await Promise.all(logins)) expect(results).toEqual(['signed_in'])
    for (const each of all) expect((await each.ask('calls')).results).toEqual(['alice'])
    expect(openedBy(all)).toHaveLength(1)
    expect(codesIn(authorizationServer)).toHaveLength(1)
  })

  test('the one that asks is killed: another takes over with a tab of its own', async () => {
    const { server } = await startServer()
    const all = three({ url: server.url })
    const calls = new Map(all.map((each) => [each, each.ask('calls')]))
    const { asking, others } = await whoAsks(all)
    await untilQueued(others, 'same_login')
    const killed = performance.now()
    asking.kill()
    const second = await whoAsks(others)
    const took = Math.round(performance.now() - killed)
    await visit(second.tab)
    for (const each of others) expect((await calls.get(each)!).results).toEqual(['alice'])
    expect(openedBy(all)).toHaveLength(2)
    console.log(`one-sign-in: taken over ${took} ms after the kill`)
  })

  test.each([
    ['by its program', async ({ asking }: { asking: SignInProcess }) => void (await asking.ask('abort'))],
    ['in the browser', async ({ tab }: { tab: string }) => void (await visit(tab, { decision: 'deny' }))],
  ])(
    'cancelled %s: the others hear it, no second tab for a minute, but for `login`',
    async (_how, cancel) => {
      const { server } = await startServer()
      const all = three({ url: server.url })
      const calls = new Map(all.map((each) => [each, each.ask('calls')]))
      const found = await whoAsks(all)
      await untilQueued(found.others, 'same_login')
      await cancel(found)
      await calls.get(found.asking)
      for (const each of found.others) {
        const { results } = await calls.get(each)!
        expect(results).toEqual(['sign_in_cancelled'])
      }
      const later = start({ url: server.url })
      expect((await later.ask('calls')).results).toEqual(['login_required'])
      expect((await found.others[0]!.ask('calls')).results).toEqual(['login_required'])
      expect(openedBy([...all, later])).toHaveLength(1)

      const login = later.ask('login')
      await visit(await onlyTab([later]))
      expect((await login).results).toEqual(['signed_in'])
      expect((await found.others[0]!.ask('calls')).results).toEqual(['alice'])
    },
  )

  test('`login --force` is not content with the login of another process', async () => {
    const { server, authorizationServer } = await startServer()
    const [first, second] = [start({ url: server.url }), start({ url: server.url })]
    const login = first.ask('login')
    const tab = await onlyTab([first])
    const forced = second.ask('force')
    await untilQueued([second], 'same_login')
    await visit(tab)
    expect((await login).results).toEqual(['signed_in'])
    await visit(await onlyTab([second]))
    expect((await forced).results).toEqual(['signed_in'])
    expect(codesIn(authorizationServer)).toHaveLength(2)
    const prompts = authorizationServer.requests.to('/auth').map(({ query }) => query.get('prompt'))
    expect(prompts.at(-1)).toMatch(/^login\b/)
  })

  test('none waits longer for another than its own sign-in may take', async () => {
    const { server } = await startServer()
    const asking = start({ url: server.url })
    void asking.ask('login')
    await onlyTab([asking])
    const hasty = start({ url: server.url }, { options: { callbackTimeout: 500 } })
    expect((await hasty.ask('login')).error?.code).toBe('sign_in_timed_out')
    expect(hasty.opened).toEqual([])
  })

  test('whose stores are not one ask one after the other', async () => {
    const { server } = await startServer()
    const memory = { options: { store: 'memory' } } as const
    const [first, second] = [start({ url: server.url }, memory), start({ url: server.url }, memory)]
    const logins = [first.ask('login'), second.ask('login')]
    const { others, tab } = await whoAsks([first, second])
    await untilQueued(others, 'same_login')
    await visit(tab)
    await visit(await onlyTab(others))
    for (const { results } of await Promise.all(logins)) expect(results).toEqual(['signed_in'])
  })
})

test('calls with a login, and its renewal, look at no board', async () => {
  const { server, authorizationServer } = await startServer()
  const first = start({ url: server.url })
  const login = first.ask('login')
  await visit(await onlyTab([first]))
  await login
  const board = join(home, 'tokens', '.sign-in')
  expect(existsSync(board)).toBe(true)
  await rm(board, { recursive: true })
  await changeStoredLogins(home, expired)
  authorizationServer.expireAccessTokens()
  expect((await start({ url: server.url }).ask('calls', 3)).results).toEqual(Array(3).fill('alice'))
  expect(existsSync(board)).toBe(false)
})

test('where processes have no place to meet, each signs in by itself', async () => {
  await writeFile(join(home, 'tokens'), 'of another program')
  const { server } = await startServer()
  const one = start({ url: server.url }, { options: { store: 'memory' } })
  const login = one.ask('login')
  await visit(await onlyTab([one]))
  expect((await login).results).toEqual(['signed_in'])
})

describe('two processes that sign in to two servers', () => {
  test('open one tab after the other', async () => {
    const [one, two] = await Promise.all([startServer(), startServer()])
    const first = start({ url: one.server.url })
    const login = first.ask('login')
    const tab = await onlyTab([first])
    const second = start({ url: two.server.url })
    const other = second.ask('login')
    await untilQueued([second], 'other_login')
    // It is ready for the person, and has none.
    expect(second.told('client_selected')).toHaveLength(1)
    expect(second.opened).toEqual([])
    await visit(tab)
    expect((await login).results).toEqual(['signed_in'])
    await visit(await onlyTab([second]))
    expect((await other).results).toEqual(['signed_in'])
  })

  test('on the one port that their clients are registered with wait for it before they ask anything', async () => {
    const callback_port = await freePort()
    const client = {
      client_id: 'by-hand',
      client_secret: 'right',
      redirect_uris: [`http://localhost:${callback_port}/callback`],
    }
    const auth = { client_id: 'by-hand', client_secret: 'right', callback_port }
    const [one, two] = await Promise.all([
      startServer({ clients: [client] }),
      startServer({ clients: [client] }),
    ])
    const first = start({ url: one.server.url, auth })
    const login = first.ask('login')
    const tab = await onlyTab([first])
    const second = start({ url: two.server.url, auth })
    const other = second.ask('login')
    await untilQueued([second], 'other_login')
    expect(two.authorizationServer.requests).toHaveLength(0)
    expect(two.server.requests).toHaveLength(0)
    await visit(tab)
    expect((await login).results).toEqual(['signed_in'])
    await visit(await onlyTab([second]))
    expect((await other).results).toEqual(['signed_in'])
  })

  test('on a port that another program holds fail at once, as ever', async () => {
    const stranger = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    servers.push({ close: () => new Promise((resolve) => stranger.close(() => resolve())) })
    const { port } = stranger.address() as { port: number }
    const { server, authorizationServer } = await startServer()
    const one = start({ url: server.url, auth: { client_id: 'by-hand', callback_port: port } })
    expect((await one.ask('login')).error?.code).toBe('port_in_use')
    expect(one.told('sign_in_queued')).toEqual([])
    expect(authorizationServer.requests).toHaveLength(0)
  })
})
