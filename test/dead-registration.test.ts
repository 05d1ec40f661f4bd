import { rm } from 'node:fs/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { registrationKey } from '../src/credentials/identity.ts'
import { encodeRecord } from '../src/credentials/record.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { JsonObject } from '../src/ports.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters, type RequestLog } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import {
  failureOf,
  freePort,
  openWorkbench,
  type Workbench,
  type WorkbenchOptions,
} from './fixtures/workbench.ts'

const opened: { close(): Promise<void> }[] = []
const homes: string[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()))
  await Promise.all(homes.splice(0).map((home) => rm(home, { recursive: true, force: true, maxRetries: 5 })))
})

/** As a process of its own each: nothing in common but the files. */
async function newProcess(home?: string, options: WorkbenchOptions = {}): Promise<Workbench> {
  const bench = await openWorkbench({ ...(home !== undefined && { home }), ...options })
  opened.push(bench)
  return bench
}

async function registrationsIn(home: string): Promise<JsonObject[]> {
  const store = createFileStore({ home, emit: () => {} })
  return (await store.list({ kind: 'registrations' })).map(({ record }) => record)
}

/** A port of its own for every login of a test: with another one the stored client would not be used again. */
async function onePort(): Promise<{ callback_port: number }> {
  return { callback_port: await freePort() }
}

/** How long a person has who will not come back, in milliseconds. */
const SHORT = 400

describe('a client that a real authorization server has deleted', () => {
  async function scene() {
    const authorizationServer = await startAuthorizationServer()
    const server = await startProtectedServer(authorizationServer)
    opened.push(server, authorizationServer)
    const entry = { name: 'demo', url: server.url, auth: await onePort() }
    const first = await newProcess()
    await first.login(entry)
    const [{ client_id }] = (await registrationsIn(first.home)) as [{ client_id: string }]
    await authorizationServer.deleteClient(client_id)
    authorizationServer.requests.clear()
    return { authorizationServer, server, entry, home: first.home, client_id }
  }
  const registered = ({ requests }: AuthorizationServer) => requests.to('/reg')

  test('found out by a refresh: one registration and one sign-in, by itself', async () => {
    const { authorizationServer, entry, home, client_id } = await scene()
    await changeStoredLogins(home, expired)
    const bench = await newProcess(home)
    const session = await bench.client({ demo: entry }).createSession('demo')
    await session.callTool('whoami')
    expect(bench.told('refresh_failed')).toHaveLength(1)
    expect(registered(authorizationServer)).toHaveLength(1)
    expect(bench.browser.opened).toHaveLength(1)
    const after = await registrationsIn(home)
    expect(after).toHaveLength(1)
    expect(after[0]!.client_id).not.toBe(client_id)
    console.log('dead-registration: refresh: 1 refused refresh, 1 registration, 1 browser')
  })

  test('found out by a refresh in the background: the person is called for, and `login` registers anew', async () => {
    const { authorizationServer, entry, home } = await scene()
    await changeStoredLogins(home, expired)
    const bench = await newProcess(home)
    const fetch = bench.latchkey.authorizedFetch(entry)
    expect(await failureOf(fetch(entry.url))).toMatchObject({ code: 'login_required' })
    expect(bench.browser.opened).toHaveLength(0)
    expect(registered(authorizationServer)).toHaveLength(0)
    await bench.login(entry)
    expect(registered(authorizationServer)).toHaveLength(1)
  })

  test('found out by nobody coming back: said so, and the next `login` registers anew by itself', async () => {
    const { authorizationServer, entry, home, client_id } = await scene()
    const bench = await newProcess(home)
    const error = await failureOf(bench.login(entry, { callbackTimeout: SHORT }))
    expect(error).toMatchObject({
      code: 'sign_in_timed_out',
      message: expect.stringMatching(/registers a new client.+error.+no longer knows the one/s),
    })
    // The browser is still where the server left it.
    expect((await bench.lastPage()).finalUrl).toMatch(`${authorizationServer.issuer}/auth`)
    expect(registered(authorizationServer)).toHaveLength(0)
    expect(await registrationsIn(home)).toMatchObject([{ client_id, doubted_at: expect.any(Number) }])

    const later = await newProcess(home)
    expect(await later.login(entry)).toMatchObject({ state: 'signed_in' })
    expect(registered(authorizationServer)).toHaveLength(1)
    const after = await registrationsIn(home)
    expect(after).toHaveLength(1)
    expect(after[0]!.client_id).not.toBe(client_id)
    expect(after[0]).not.toHaveProperty('doubted_at')
    console.log('dead-registration: authorize: 1 time-out, then 1 registration and 1 browser')
  })

  test('found out by a person who ends the sign-in before an error page: the same', async () => {
    const { authorizationServer, entry, home } = await scene()
    const bench = await newProcess(home)
    const abort = new AbortController()
    const login = failureOf(bench.login(entry, { signal: abort.signal }))
    await expect.poll(() => bench.browser.visits).toHaveLength(1)
    await bench.lastPage()
    abort.abort()
    expect(await login).toMatchObject({ code: 'sign_in_cancelled' })
    await expect.poll(() => registrationsIn(home)).toMatchObject([{ doubted_at: expect.any(Number) }])
    await (await newProcess(home)).login(entry)
    expect(registered(authorizationServer)).toHaveLength(1)
  })
})

describe('a client that an odd authorization server does not know', () => {
  async function scene(options: { signedIn?: boolean } = {}) {
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    opened.push(server)
    const entry = { name: 'demo', url: server.url!, auth: await onePort() }
    const bench = await newProcess()
    if (options.signedIn ?? true) {
      await bench.login(entry)
      server.deleteClient(String((await registrationsIn(bench.home))[0]!.client_id))
    }
    server.requests.clear()
    const later = await newProcess(bench.home)
    return { server, entry, home: bench.home, bench: later }
  }
  const count = ({ requests }: { requests: RequestLog }) => ({
    registrations: requests.to('/register').length,
    codes: requests.to('/token').filter((sent) => parameters(sent).grant_type === 'authorization_code')
      .length,
  })

  const html = { 'content-type': 'text/html' }
  const pages: [string, Answer][] = [
    ['422 and JSON', { status: 422, body: { message: 'Unrecognized client_id' } }],
    ['400 and JSON', { status: 400, body: { error: 'invalid_client' } }],
    ['200 and a page', { status: 200, headers: html, body: '<h1>Something went wrong</h1>' }],
  ]
  test.each(pages)('answering /authorize with %s: healed by the next login', async (_what, page) => {
    const { server, entry, bench } = await scene()
    const known = server.scripts
    server.scripts = {
      ...known,
      authorize: (_request, standard) => (standard.status === 302 ? standard : page),
    }
    const error = await failureOf(bench.login(entry, { callbackTimeout: SHORT }))
    expect(error).toMatchObject({ code: 'sign_in_timed_out' })
    expect(error.message).toContain('registers a new client')
    expect(await bench.login(entry)).toMatchObject({ state: 'signed_in' })
    expect(count(server)).toEqual({ registrations: 1, codes: 1 })
  })

  test.each(['invalid_client', 'unauthorized_client'])(
    'answering the code with %s: one new registration, and the sign-in goes on',
    async (code) => {
      const { server, entry, bench, home } = await scene()
      answerUnknownClients(server, { ...tokenError(code, 'who?'), status: 401 })
      expect(await bench.login(entry)).toMatchObject({ state: 'signed_in' })
      expect(count(server)).toEqual({ registrations: 1, codes: 2 })
      expect(bench.browser.opened).toHaveLength(2)
      expect(await registrationsIn(home)).toHaveLength(1)
      const [page] = await Promise.all(bench.browser.visits)
      expect(page!.html).toContain('The sign-in goes on in a new tab')
    },
  )

  test('sending the browser back with unauthorized_client: the same', async () => {
    const { server, entry, bench } = await scene()
    server.scripts.authorize = ({ query }, standard) => {
      if (standard.status === 302) return standard
      const to = new URL(query.get('redirect_uri')!)
      to.search = String(
        new URLSearchParams({ error: 'unauthorized_client', state: query.get('state')!, iss: server.issuer }),
      )
      return { status: 302, headers: { location: to.href } }
    }
    expect(await bench.login(entry)).toMatchObject({ state: 'signed_in' })
    expect(count(server)).toEqual({ registrations: 1, codes: 1 })
  })

  test('answering invalid_client for ever: one new registration, two tabs, and an end', async () => {
    const { server, entry, bench, home } = await scene()
    answerUnknownClients(server, { ...tokenError('invalid_client', 'never'), status: 401 }, true)
    const error = await failureOf(bench.login(entry))
    expect(error).toMatchObject({ code: 'token_request_refused', error: 'invalid_client' })
    expect(count(server).registrations).toBe(1)
    expect(bench.browser.opened).toHaveLength(2)
    // The login that there was is still there.
    expect(await storedLogins(home)).toHaveLength(1)
  })

  test('answering a client that is new with invalid_client: no second registration', async () => {
    const { server, entry, bench } = await scene({ signedIn: false })
    server.scripts.token = () => ({ ...tokenError('invalid_client', 'never'), status: 401 })
    expect(await failureOf(bench.login(entry))).toMatchObject({ code: 'token_request_refused' })
    expect(count(server).registrations).toBe(1)
    expect(bench.browser.opened).toHaveLength(1)
  })

  test.each([
    ['invalid_grant', tokenError('invalid_grant', 'no such client')],
    ['a 401 without a word', { status: 401, body: '' }],
  ] as [string, Answer][])('answering the code with %s: healed by the next login', async (_what, answer) => {
    const { server, entry, bench } = await scene()
    answerUnknownClients(server, answer)
    await failureOf(bench.login(entry))
    expect(count(server).registrations).toBe(0)
    expect(await bench.login(entry)).toMatchObject({ state: 'signed_in' })
    expect(count(server).registrations).toBe(1)
  })

  /** The authorization endpoint does not look; the token endpoint does. */
  function answerUnknownClients(server: ScriptedAuthorizationServer, answer: Answer, forEver = false): void {
    server.scripts.authorize = ({ query }, standard) => {
      if (standard.status === 302) return standard
      const to = new URL(query.get('redirect_uri')!)
      to.search = String(
        new URLSearchParams({ code: 'of-nobody', state: query.get('state')!, iss: server.issuer }),
      )
      return { status: 302, headers: { location: to.href } }
    }
    server.scripts.token = (_request, standard) =>
      forEver || standard.status === 401 || standard.status === 400 ? answer : standard
  }
})

describe('what is never touched', () => {
  test('a pre-registered client: nothing is registered, whatever the browser shows', async () => {
    const callback_port = await freePort()
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    const bench = await newProcess()
    opened.push(server)
    const entry = { name: 'demo', url: server.url!, auth: { client_id: 'by-hand', callback_port } }
    for (let tries = 0; tries < 2; tries++) {
      const error = await failureOf(bench.login(entry, { callbackTimeout: SHORT }))
      expect(error).toMatchObject({ code: 'sign_in_timed_out' })
      expect(error.message).toContain(`http://localhost:${callback_port}/callback`)
    }
    server.scripts.authorize = ({ query }) => {
      const to = new URL(query.get('redirect_uri')!)
      to.search = String(new URLSearchParams({ code: 'x', state: query.get('state')!, iss: server.issuer }))
      return { status: 302, headers: { location: to.href } }
    }
    expect(await failureOf(bench.login(entry))).toMatchObject({ code: 'token_request_refused' })
    expect(server.requests.to('/register')).toEqual([])
    expect(await registrationsIn(bench.home)).toEqual([])
  })

  test.each([false, true])(
    'the login there is, by a new one that is broken off (force: %s)',
    async (force) => {
      const authorizationServer = await startAuthorizationServer()
      const server = await startProtectedServer(authorizationServer)
      opened.push(server, authorizationServer)
      const entry = { name: 'demo', url: server.url, auth: await onePort() }
      const first = await newProcess()
      await first.login(entry)
      const before = await storedLogins(first.home)

      const bench = await newProcess(first.home, { options: { openUrl: () => {} } })
      const abort = new AbortController()
      const login = failureOf(bench.login(entry, { force, signal: abort.signal }))
      await expect.poll(() => bench.told('authorization_started')).toHaveLength(1)
      abort.abort()
      expect(await login).toMatchObject({ code: 'sign_in_cancelled' })
      expect(await storedLogins(first.home)).toEqual(before)

      await changeStoredLogins(first.home, expired)
      authorizationServer.expireAccessTokens()
      authorizationServer.requests.clear()
      const later = await newProcess(first.home)
      const session = await later.client({ demo: entry }).createSession('demo')
      await session.callTool('whoami')
      expect(authorizationServer.requests.lines()).toEqual(['POST /token'])
      expect(later.browser.opened).toEqual([])
    },
  )
})

describe('a registration that another one takes the place of', () => {
  /** A login with a client whose secret ended, registered for a port that is no longer taken. */
  async function scene() {
    const server = await startScriptedAuthorizationServer({ mcp: {} })
    opened.push(server)
    const entry = { name: 'demo', url: server.url!, auth: await onePort() }
    const bench = await newProcess()
    await bench.login(entry)
    const [record] = await registrationsIn(bench.home)
    const store = createFileStore({ home: bench.home, emit: () => {} })
    const identity = { serverUrl: server.url!, account: null, configuredClientId: null }
    const key = registrationKey(identity, String(record!.issuer), String(record!.redirect_uri))
    const ended = { ...record, client_secret: 'old', client_secret_expires_at: 1_000_000_000 }
    await store.write(key, encodeRecord(key, ended as never))
    return { server, entry, bench, client_id: record!.client_id }
  }

  test('stays when the new login is broken off, and goes when it succeeds', async () => {
    const { server, entry, bench, client_id } = await scene()
    const failing = await newProcess(bench.home, { person: { decision: 'deny' } })
    server.scripts.authorize = () => ({ status: 500, body: 'down' })
    await failureOf(failing.login(entry, { callbackTimeout: SHORT }))
    expect(await registrationsIn(bench.home)).toMatchObject([{ client_id }])
    delete server.scripts.authorize
    await bench.login(entry)
    const after = await registrationsIn(bench.home)
    expect(after).toHaveLength(1)
    expect(after[0]!.client_id).not.toBe(client_id)
  })

  test('for another redirect URI goes as well', async () => {
    const { entry, bench, client_id } = await scene()
    const auth = await onePort()
    await bench.login({ ...entry, auth })
    const after = await registrationsIn(bench.home)
    expect(after).toMatchObject([{ redirect_uri: `http://localhost:${auth.callback_port}/callback` }])
    expect(after[0]!.client_id).not.toBe(client_id)
  })
})

test('`login --force` makes a server that remembers the person ask again', async () => {
  const authorizationServer = await startAuthorizationServer()
  const server = await startProtectedServer(authorizationServer)
  opened.push(server, authorizationServer)
  const bench = await newProcess()
  const entry = { name: 'demo', url: server.url, auth: { offline_access: false } }
  const asked = async (force: boolean) => {
    await bench.login(entry, { force })
    const { visited } = await bench.lastPage()
    return visited.filter(({ url }) => url.includes('/interaction/')).length
  }
  const first = await asked(false)
  const remembered = await asked(false)
  const forced = await asked(true)
  expect(remembered).toBeLessThan(first)
  expect(forced).toBeGreaterThan(remembered)
})
