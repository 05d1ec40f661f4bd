import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Fetch } from '../src/ports.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { createHurriedClock } from './fixtures/hurried-clock.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

/** What can become of a request. `dns`: the name does not resolve; anything else is an answer. */
type Fault = Answer | 'dns'

const FAULTS: Record<string, Fault> = {
  'HTTP 500': { status: 500, body: { error: 'internal' } },
  'HTTP 502 with a page': { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad Gateway' },
  'HTTP 429': { status: 429, body: 'slow down' },
  'no answer in time': { hang: true },
  'a connection that is reset': { destroy: true },
  'a name that does not resolve': 'dns',
  'HTTP 200 that is not JSON': { headers: { 'content-type': 'text/html' }, body: '<h1>Welcome to the hotel' },
  'an answer that breaks off': {
    headers: { 'content-type': 'application/json' },
    body: '{"access_token":"half","token_type":"bearer"}',
    destroy: true,
  },
}
const faults = Object.entries(FAULTS)

/** Which requests a stage of the protocol makes. */
const STAGES = {
  discovery: (pathname: string) => pathname.startsWith('/.well-known/'),
  registration: (pathname: string) => pathname === '/reg',
  token: (pathname: string) => pathname === '/token',
  mcp: (pathname: string) => pathname === '/mcp',
}
type Stage = keyof typeof STAGES

let authorizationServer: AuthorizationServer
let server: McpServerFixture
let home: string
let bench: Workbench
/** What is wrong just now. */
let trouble: { stage: Stage; fault: Fault } | undefined

const isTroubled = (pathname: string) => trouble !== undefined && STAGES[trouble.stage](pathname)

/** A name that is not known: asked for in earnest. */
const fetchAround: Fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input)
  if (trouble?.fault !== 'dns' || !isTroubled(url.pathname)) return fetch(input, init)
  url.hostname = 'no-such-host.invalid'
  return fetch(url, init)
}

async function start(options: Parameters<typeof startAuthorizationServer>[0] = {}): Promise<void> {
  authorizationServer = await startAuthorizationServer(options)
  server = await startProtectedServer(authorizationServer)
  for (const each of [authorizationServer, server]) {
    each.intercept = ({ pathname }) =>
      trouble && trouble.fault !== 'dns' && isTroubled(pathname) ? trouble.fault : undefined
  }
  bench = await openWorkbench({
    home,
    // 15 s become 1 s, a retry after 0.5 s comes after 33 ms.
    clock: createHurriedClock(15),
    platform: { fetch: fetchAround },
  })
}

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-faults-'))
})
afterEach(async () => {
  trouble = undefined
  await bench?.close()
  await Promise.all([server?.close(), authorizationServer?.close()])
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

/** Every document of the store, byte for byte. */
async function documents(): Promise<Record<string, string>> {
  const names = await readdir(join(home, 'tokens'), { recursive: true })
  const found = names.filter((name) => name.endsWith('.json')).sort()
  const texts = await Promise.all(found.map((name) => readFile(join(home, 'tokens', name), 'utf8')))
  return Object.fromEntries(found.map((name, index) => [name, texts[index]!]))
}

const entry = () => ({ url: server.url })
const call = async (timeout = 60_000) => {
  const client = bench.client({ demo: { ...entry(), timeout } }, { interactive: 'never' })
  const { content } = await (await client.createSession('demo')).callTool('whoami')
  return content
}
const alice = [{ type: 'text', text: 'alice' }]
const refreshes = () =>
  authorizationServer.requests.to('/token').filter(({ body }) => body.includes('grant_type=refresh_token'))

describe.each(faults)('%s instead of the answer', (_fault, fault) => {
  test.each([
    ['discovery', 0],
    ['registration', 0],
    ['token', 1],
  ] as const)('at %s: nothing is stored or lost, and the next login works', async (stage, tabs) => {
    await start()
    await bench.login({ name: 'demo', ...entry(), auth: { account: 'bystander' } })
    const before = await documents()
    const opened = bench.browser.opened.length
    trouble = { stage, fault }
    const failure = await failureOf<{ code: string }>(bench.login({ name: 'demo', ...entry() }))
    expect(['network_failed', 'response_invalid', 'discovery_failed', 'registration_refused']).toContain(
      failure.code,
    )
    expect(bench.browser.opened).toHaveLength(opened + tabs)
    expect(await documents()).toEqual(before)

    trouble = undefined
    await bench.login({ name: 'demo', ...entry() })
    expect(bench.browser.opened).toHaveLength(opened + tabs + 1)
    expect(await call()).toEqual(alice)
  })

  test('at a refresh: the login is kept, nobody is asked, and the next call works', async () => {
    await start()
    await bench.login({ name: 'demo', ...entry() })
    await changeStoredLogins(home, expired)
    const before = await documents()
    trouble = { stage: 'token', fault }
    const failure = await failureOf<{ code: string }>(call())
    expect(['network_failed', 'response_invalid']).toContain(failure.code)
    expect(await documents()).toEqual(before)

    trouble = undefined
    expect(await call()).toEqual(alice)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test('at the MCP server: the login is kept, nobody is asked, and the next call works', async () => {
    await start()
    await bench.login({ name: 'demo', ...entry() })
    const before = await documents()
    authorizationServer.requests.clear()
    trouble = { stage: 'mcp', fault }
    const failure = await failureOf<{ code: string }>(call(1_000))
    expect(['network_failed', 'connect_failed']).toContain(failure.code)

    trouble = undefined
    expect(await call()).toEqual(alice)
    expect(await documents()).toEqual(before)
    expect(authorizationServer.requests).toHaveLength(0)
    expect(bench.browser.opened).toHaveLength(1)
  })
})

describe.each(faults.filter(([, fault]) => fault !== 'dns'))(
  '%s after the server refreshed',
  (_fault, fault) => {
    /** The answers to so many refreshes get lost on their way. */
    const loseAnswers = (count: number) => {
      let left = count
      authorizationServer.rewriteAnswer = ({ pathname, body }) => {
        if (pathname !== '/token' || !body.includes('refresh_token') || left === 0) return undefined
        left -= 1
        return fault as Answer
      }
    }
    const signIn = async () => {
      await bench.login({ name: 'demo', ...entry(), auth: { account: 'bystander' } })
      await bench.login({ name: 'demo', ...entry() })
      await changeStoredLogins(home, expired)
      return storedLogins(home)
    }

    test('with a leeway: the old token is sent once more, and the call works', async () => {
      await start({ rotate: false })
      await signIn()
      loseAnswers(1)
      expect(await call()).toEqual(alice)
      expect(refreshes()).toHaveLength(2)
      expect(bench.browser.opened).toHaveLength(2)
    })

    test('with a leeway, and answers that stay away: bounded, the login kept, the next call works', async () => {
      await start({ rotate: false })
      await signIn()
      const before = await documents()
      loseAnswers(Number.POSITIVE_INFINITY)
      const failure = await failureOf<{ code: string }>(call())
      expect(['network_failed', 'response_invalid']).toContain(failure.code)
      expect(refreshes().length).toBeLessThanOrEqual(3)
      expect(await documents()).toEqual(before)
      loseAnswers(0)
      expect(await call()).toEqual(alice)
      expect(bench.browser.opened).toHaveLength(2)
    })

    test('without one: the old token is sent once more, then a login is asked for; all else is kept', async () => {
      await start()
      const [bystander] = (await signIn()).filter(({ key }) => key.account === 'bystander')
      const registrations = async () =>
        Object.entries(await documents()).filter(([name]) => name.includes('registration'))
      const before = await registrations()
      loseAnswers(1)
      expect(await failureOf(call())).toMatchObject({ code: 'login_required' })
      expect(refreshes()).toHaveLength(2)
      expect(await storedLogins(home)).toEqual([bystander])
      expect(await registrations()).toEqual(before)
      // What is over stays over: nothing is sent again.
      expect(await failureOf(call())).toMatchObject({ code: 'login_required' })
      expect(refreshes()).toHaveLength(2)
      expect(bench.browser.opened).toHaveLength(2)

      await bench.login({ name: 'demo', ...entry() })
      expect(await call()).toEqual(alice)
    })
  },
)
