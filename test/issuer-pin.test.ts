import { readFile, stat } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { OAuthConfig } from '../src/config/input.ts'
import { definitionFromServer } from '../src/config/mcp-servers.ts'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { createKeychainFileStore } from '../src/keychain-store.ts'
import { type BeginLoginOptions, oauthLogin, type ServerInput } from '../src/latchkey.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialStore, JsonObject } from '../src/ports.ts'
import type { OpenKeychain } from '../src/stores/keychain-port.ts'
import { hasPostgres, hasRedis, postgresNames, redisNames } from './fixtures/databases.ts'
import { type MovingServer, SECRET, sentTo, startMovingServer } from './fixtures/moving-server.ts'
import { tokenError } from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { failureOf } from './fixtures/workbench.ts'
import { requires } from './requires.ts'
import { temporaryFolder } from './store-program.ts'

// A client that somebody registered by hand, with its secret, at one authorization server: the MCP server gets no second try
// to have it sent elsewhere, however the login ended.

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close()
})

async function scene(store?: CredentialStore): Promise<MovingServer> {
  const started = await startMovingServer(store && { options: { store } })
  opened.push(started)
  return started
}

const auth = { client_id: 'mine', client_secret: SECRET }
const entryOf = ({ server, callback_port }: MovingServer, more = {}) => ({
  name: 'demo',
  url: server.url,
  auth: { ...auth, callback_port, ...more },
})

const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
})

/** The MCP server names the second one: nothing of us reaches it. */
async function expectRefused(all: MovingServer, act: () => Promise<unknown>): Promise<void> {
  all.move()
  all.bench.browser.opened.length = 0
  expect(await failureOf(act())).toMatchObject({
    code: 'issuer_mismatch',
    expected: all.first.issuer,
    actual: all.second.issuer,
  })
  expect(all.bench.browser.opened).toEqual([])
  expect(all.second.requests.lines()).toEqual(['GET /.well-known/oauth-authorization-server'])
  expect(sentTo(all.second)).not.toMatch(/mine|secret/)
}

/** The authorization server ends the login with the next refresh. */
async function endByServer(all: MovingServer, store: CredentialStore): Promise<void> {
  await changeStoredLogins(store, expired)
  all.first.scripts.token = () => tokenError('invalid_grant', 'revoked by the administrator')
  await failureOf(all.bench.token(entryOf(all)))
  expect(await store.list({ kind: 'tokens' })).toEqual([])
}

/** Two ways out of a login, on one store. */
function outlivesTests(newStore: () => CredentialStore | Promise<CredentialStore>): void {
  test('outlives a login that its authorization server ended (invalid_grant)', async () => {
    const store = await newStore()
    const all = await scene(store)
    await all.bench.login(entryOf(all))
    await endByServer(all, store)
    expect(await all.bench.latchkey.status(entryOf(all), { store })).toMatchObject({ state: 'signed_out' })
    await expectRefused(all, () => all.bench.login(entryOf(all)))
  })

  test('outlives a logout, which leaves nothing secret', async () => {
    const store = await newStore()
    const all = await scene(store)
    await all.bench.login(entryOf(all))
    expect(await all.bench.latchkey.logout(entryOf(all), { store })).toBe('revoked')
    expect(await all.bench.latchkey.status(entryOf(all), { store })).toMatchObject({ state: 'signed_out' })
    for (const kind of ['tokens', 'registrations', 'sign_ins'] as const) {
      expect(await store.list({ kind })).toEqual([])
    }
    expect((await store.list({ kind: 'issuers' })).map(({ record }) => record)).toEqual([
      {
        server_url: all.server.url,
        configured_client_id: 'mine',
        account: null,
        issuer: all.first.issuer,
        pinned_at: expect.any(Number),
      },
    ])
    await expectRefused(all, () => all.bench.login(entryOf(all)))
  })
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())
let homes = 0
const newHome = (): string => `${folder.path}/${homes++}`

function newKeychainStore(): CredentialStore {
  const entries = new Map<string, string>()
  const openKeychain: OpenKeychain = () => ({
    read: async (name) => entries.get(name),
    write: async (name, text) => void entries.set(name, text),
    delete: async (name) => void entries.delete(name),
    close: () => {},
  })
  return createKeychainFileStore({ home: newHome(), emit: () => {}, mode: 'keychain', openKeychain })
}

const [redis, postgres] = [await hasRedis(), await hasPostgres()]

requires('redis', redis)('the issuer of a configured client, in Redis', () => {
  let names: Awaited<ReturnType<typeof redisNames>>
  beforeAll(async () => {
    names = await redisNames()
  })
  afterAll(() => names.remove())
  outlivesTests(() => names.newStore(names.newPrefix()))
})

requires('postgres', postgres)('the issuer of a configured client, in PostgreSQL', () => {
  let names: Awaited<ReturnType<typeof postgresNames>>
  beforeAll(async () => {
    names = await postgresNames()
  })
  afterAll(() => names.remove())
  outlivesTests(() => names.newStore(names.newTable()))
})

describe('the issuer of a configured client', () => {
  describe('in memory', () => outlivesTests(createMemoryStore))
  describe('in files', () => outlivesTests(() => createFileStore({ home: newHome(), emit: () => {} })))
  describe('in files sealed with a key of the keychain', () => outlivesTests(newKeychainStore))

  test('is the same for every account: the client is that of the configuration', async () => {
    const all = await scene()
    await all.bench.login(entryOf(all, { account: 'jane' }))
    await expectRefused(all, () => all.bench.login(entryOf(all, { account: 'joe' })))
  })

  test('is the one of a login that was stored before issuers were, once that ends', async () => {
    const all = await scene()
    await all.bench.login(entryOf(all))
    const store = createFileStore({ home: all.bench.home, emit: () => {} })
    for (const { key } of await store.list({ kind: 'issuers' })) await store.delete(key)
    await endByServer(all, store)
    await expectRefused(all, () => all.bench.login(entryOf(all)))
  })

  test('moves where the person says so, after a logout as well', async () => {
    const all = await scene()
    const { bench, first, second, move } = all
    await bench.login(entryOf(all))
    await bench.latchkey.logout(entryOf(all))
    move()
    expect(await bench.login(entryOf(all), { force: true })).toMatchObject({ issuer: second.issuer })
    await bench.latchkey.logout(entryOf(all))
    move(first)
    expect(await failureOf(bench.login(entryOf(all)))).toMatchObject({ expected: second.issuer })
  })

  test.each([
    ['auth.issuer', (to: string) => ({ issuer: to })],
    ['auth.oauth_provider', (to: string) => ({ oauth_provider: { metadata: metadataOf(to) } })],
  ])('moves to the one that %s names', async (_, settings) => {
    const all = await scene()
    const { bench, first, second, move } = all
    await bench.login(entryOf(all))
    await bench.latchkey.logout(entryOf(all))
    move()
    const moved = entryOf(all, settings(second.issuer))
    expect(await bench.login(moved)).toMatchObject({ issuer: second.issuer })
    await bench.latchkey.logout(moved)
    move(first)
    expect(await failureOf(bench.login(entryOf(all)))).toMatchObject({ expected: second.issuer })
  })

  test('is not there after a sign-in that failed: what never took the client is no place it belongs to', async () => {
    const all = await scene()
    const { bench, first, second, move } = all
    first.scripts.token = () => tokenError('invalid_grant', 'not today')
    await failureOf(bench.login(entryOf(all)))
    move()
    expect(await bench.login(entryOf(all))).toMatchObject({ issuer: second.issuer })
  })

  test('is not kept of a client that was registered by itself, which is anew where the server moves', async () => {
    const all = await scene()
    const { bench, server, second, callback_port, move } = all
    const entry = { url: server.url, auth: { callback_port } }
    await bench.login(entry)
    await bench.latchkey.logout(entry)
    expect(await createFileStore({ home: bench.home, emit: () => {} }).list({ kind: 'issuers' })).toEqual([])
    move()
    expect(await bench.login(entry)).toMatchObject({ issuer: second.issuer })
  })

  test('stands in a file of its own, readable for its owner only', async () => {
    const all = await scene()
    await all.bench.login(entryOf(all))
    const { host } = new URL(all.server.url)
    const path = `${all.bench.home}/tokens/issuers/${host.replace(':', '_')}_issuer.json`
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'utf8')).not.toContain('secret')
  })
})

describe('the login of another account from before the pin moved', () => {
  const ROTATED = { client_secret: 'rotated-secret' }
  const quiet = { interactive: 'never' } as const

  /** Bert is signed in at the first one; then Anna accepted the second, and the secret was rotated. */
  async function moved(
    store?: CredentialStore,
    entry: (all: MovingServer, more: OAuthConfig) => ServerInput = entryOf,
  ): Promise<MovingServer> {
    const all = await scene(store)
    const { bench, first, second, move } = all
    await bench.login(entry(all, { account: 'bert' }))
    move()
    await bench.login(entry(all, { account: 'anna' }), { force: true })
    for (const { requests } of [first, second]) requests.clear()
    return all
  }

  test('a login of another one is not renewed there: its token is used, then there is a sign-in at the new one', async () => {
    let pinsRead = 0
    const memory = createMemoryStore()
    const read: CredentialStore['read'] = (key) => {
      if (key.kind === 'issuers') pinsRead += 1
      return memory.read(key)
    }
    const store = { ...memory, read }
    const all = await moved(store)
    const { bench, first, second } = all
    const bert = entryOf(all, { ...ROTATED, account: 'bert' })
    pinsRead = 0
    expect(await bench.token(bert, quiet)).toEqual(expect.any(String))
    expect(pinsRead).toBe(0)
    await changeStoredLogins(store, expired)
    expect(await failureOf(bench.token(bert, quiet))).toMatchObject({ code: 'login_required' })
    expect(bench.told('warning').at(-1)).toMatchObject({
      code: 'record_does_not_fit',
      message: expect.stringMatching(/not renewed: it is from another issuer/),
    })
    const status = await bench.latchkey.status(bert, { store })
    expect(status).toMatchObject({ state: 'expired', refreshable: false, issuer: first.issuer })
    expect(await bench.login(entryOf(all, { account: 'bert' }))).toMatchObject({ issuer: second.issuer })
    expect(first.requests).toHaveLength(0)
  })

  test('is not renewed there ahead of its end either', async () => {
    const all = await moved()
    const bert = entryOf(all, { ...ROTATED, account: 'bert' })
    const soon = Math.floor(Date.now() / 1000) + 30
    await changeStoredLogins(all.bench.home, (record) => ({ ...record, expires_at: soon }))
    expect(await all.bench.token(bert, quiet)).toEqual(expect.any(String))
    expect(all.first.requests).toHaveLength(0)
  })

  test('is not renewed there because the MCP server refuses its token', async () => {
    const all = await moved()
    const { bench, first } = all
    const bert = entryOf(all, { ...ROTATED, account: 'bert' })
    const session = bench.client({ demo: bert }, quiet).createSession('demo')
    expect(await failureOf(session)).toMatchObject({ code: 'login_required' })
    expect(first.requests).toHaveLength(0)
  })

  test('is deleted at logout, and nothing is sent to revoke it', async () => {
    const all = await moved()
    const { bench, first } = all
    const onEvent = (event: LatchkeyEvent) => void bench.events.push(event)
    const bert = entryOf(all, { ...ROTATED, account: 'bert' })
    expect(await bench.latchkey.logout(bert, { onEvent })).toBe('withheld')
    expect(first.requests).toHaveLength(0)
    expect(bench.told('warning').at(-1)).toMatchObject({ code: 'not_revoked' })
    expect(bench.told('signed_out')).toMatchObject([{ revoked: false }])
    expect(await bench.latchkey.status(bert)).toMatchObject({ state: 'signed_out' })
  })

  test('of a grant is replaced by one of the new issuer, whether it ended or is refused', async () => {
    const machine = { grant: 'client_credentials', client_id: 'mine', client_secret: SECRET } as const
    const tokenOf = (issuer: string) => `of-${new URL(issuer).port}`
    const entry = ({ server, first, second }: MovingServer, more = {}) => {
      for (const { scripts, issuer } of [first, second]) {
        scripts.token = () => ({ body: { access_token: tokenOf(issuer), token_type: 'Bearer' } })
      }
      return { name: 'demo', url: server.url, auth: { ...machine, ...more } }
    }
    const all = await moved(undefined, entry)
    const { bench, server, first, second } = all
    const bert = entry(all, { account: 'bert' })
    const verify = (token: string) => (token === tokenOf(second.issuer) ? {} : undefined)
    Object.assign(server.protect, { verify })
    const ofFirst = (record: JsonObject) => ({ ...record, issuer: first.issuer })
    await bench.client({ demo: bert }).createSession('demo')
    expect(second.requests.to('/token')).toHaveLength(1)
    await changeStoredLogins(bench.home, (record) => ofFirst(expired(record)))
    await bench.token(bert)
    expect(second.requests.to('/token')).toHaveLength(2)
    await changeStoredLogins(bench.home, ofFirst)
    expect(await bench.latchkey.logout(bert)).toBe('withheld')
    expect(first.requests).toHaveLength(0)
  })

  test('is renewed there where the configuration names that issuer: it goes before the pin', async () => {
    const all = await moved()
    const bert = entryOf(all, { issuer: all.first.issuer, account: 'bert' })
    await changeStoredLogins(all.bench.home, expired)
    await all.bench.token(bert, quiet)
    expect(await all.bench.latchkey.logout(bert)).toBe('revoked')
    expect(all.first.requests.to('/token')).toHaveLength(1)
  })

  test('stays as it was where a client was registered for it', async () => {
    const all = await scene()
    const { bench, first, second, callback_port, move, server } = all
    const entry = (account: string) => ({ name: 'demo', url: server.url, auth: { callback_port, account } })
    await bench.login(entry('bert'))
    move()
    await bench.login(entry('anna'), { force: true })
    await changeStoredLogins(bench.home, expired)
    await bench.token(entry('bert'), quiet)
    expect(first.requests.to('/token')).toHaveLength(2)
    expect(await bench.latchkey.logout(entry('bert'))).toBe('revoked')
    expect(second.requests.to('/revoke')).toHaveLength(0)
  })
})

describe('a web application with a configured client', () => {
  const redirectUriOf = ({ callback_port }: MovingServer) => `http://localhost:${callback_port}/callback`
  const begin = (all: MovingServer, account: string, more: Partial<BeginLoginOptions> = {}) =>
    all.bench.latchkey.beginLogin(entryOf(all), { account, redirectUri: redirectUriOf(all), ...more })
  const complete = (all: MovingServer, account: string, response: string, more = {}) =>
    all.bench.latchkey.completeLogin(entryOf(all, more), response, { account })

  /** Where the authorization server sends the person. */
  async function comeBack(authorizationUrl: string): Promise<string> {
    const answer = await fetch(authorizationUrl, { redirect: 'manual' })
    await answer.body?.cancel()
    return answer.headers.get('location')!
  }

  async function signInAs(all: MovingServer, account: string): Promise<void> {
    const { authorizationUrl } = await begin(all, account)
    await complete(all, account, await comeBack(authorizationUrl))
  }

  test('does not show it to another authorization server for a new user', async () => {
    const all = await scene()
    await signInAs(all, 'user-1')
    await expectRefused(all, () => begin(all, 'user-2'))
  })

  test('does not either because a user wants to be asked again: `force` is theirs, the client is not', async () => {
    const all = await scene()
    await signInAs(all, 'user-1')
    await expectRefused(all, () => begin(all, 'user-1', { force: true }))
  })

  test('sends no secret to where a sign-in was begun before the issuer was known', async () => {
    const all = await scene()
    const { first, second, move } = all
    move(second)
    const { authorizationUrl } = await begin(all, 'mallory')
    const response = await comeBack(authorizationUrl)
    move(first)
    await signInAs(all, 'user-1')
    expect(await failureOf(complete(all, 'mallory', response))).toMatchObject({
      code: 'issuer_mismatch',
      expected: first.issuer,
      actual: second.issuer,
    })
    expect(second.requests.to('/token')).toEqual([])
  })

  test.each([false, true])(
    'nor to where a person at a terminal was sent before it was known (force: %s)',
    async (force) => {
      const all = await scene()
      const { bench, first, second, move } = all
      move(second)
      const openUrl = async (url: string) => {
        move(first)
        await signInAs(all, 'user-1')
        await bench.browser.open(url)
      }
      const waiting = bench.login(entryOf(all, { account: 'mallory' }), { openUrl, force })
      expect(await failureOf(waiting)).toMatchObject({
        code: 'issuer_mismatch',
        expected: first.issuer,
        actual: second.issuer,
      })
      expect(second.requests.to('/token')).toEqual([])
      expect((await bench.lastPage()).html).toContain('issuer_mismatch')
    },
  )

  test('nor to where a person said yes to an import before it was known', async () => {
    const all = await scene()
    const { bench, first, second, move } = all
    move(second)
    const { name, ...config } = entryOf(all, { account: 'mallory' })
    const { definition } = definitionFromServer(name, config)
    const login = oauthLogin(definition, bench.latchkey.runtime({}))
    const confirm = async () => {
      move(first)
      await signInAs(all, 'user-1')
      return true
    }
    const strange = { access_token: 'of-another-program', refresh_token: 'of-it-too', issuers: [] }
    expect(await failureOf(login.adopt({ strange, confirm }))).toMatchObject({
      code: 'issuer_mismatch',
      expected: first.issuer,
      actual: second.issuer,
    })
    expect(second.requests.to('/token')).toEqual([])
    expect(await bench.latchkey.status(entryOf(all))).toMatchObject({ state: 'signed_out' })
  })

  test('sends no secret to where a sign-in was begun before the configuration named another', async () => {
    const all = await scene()
    const { first, second } = all
    const { authorizationUrl } = await begin(all, 'user-1')
    const response = await comeBack(authorizationUrl)
    const failure = await failureOf(complete(all, 'user-1', response, { issuer: second.issuer }))
    expect(failure).toMatchObject({ code: 'authorization_response_invalid' })
    expect(first.requests.to('/token')).toEqual([])
  })
})
