import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Answer } from '../../test/fixtures/loopback-server.ts'
import { signIn } from '../../test/fixtures/plain-client.ts'
import { parameters } from '../../test/fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from '../../test/fixtures/scripted-authorization-server.ts'
import { createShiftedClock, type ShiftedClock } from '../../test/fixtures/shifted-clock.ts'
import { failureOf } from '../../test/fixtures/workbench.ts'
import { StoreFailedError } from '../errors/index.ts'
import type { LatchkeyEvent } from '../events.ts'
import type { FlowContext } from '../flow/context.ts'
import { renewalOf } from '../flow/renewal.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import { createNetwork } from '../net/network.ts'
import { createFileStore } from '../node/file-store.ts'
import type { CredentialStore } from '../ports.ts'
import { type Identity, registrationKey, tokensKey } from './identity.ts'
import { Keeper, type KeeperParts } from './keeper.ts'
import { encodeRecord } from './record.ts'

/** The tokens, or `undefined` where there are none to send: `over` has its own tests. */
const usable = async (keeper: Keeper): Promise<TokenSet | undefined> => {
  const tokens = await keeper.usable()
  return tokens === 'over' ? undefined : tokens
}

const redirect_uri = 'http://localhost:8080/callback'
let server: ScriptedAuthorizationServer
let clock: ShiftedClock
let home: string
let store: CredentialStore
let identity: Identity
let events: LatchkeyEvent[]

beforeEach(async () => {
  server = await startScriptedAuthorizationServer({ mcp: {} })
  clock = createShiftedClock()
  home = await mkdtemp(join(tmpdir(), 'latchkey-keeper-'))
  events = []
  store = newStore()
  identity = { serverUrl: server.url, account: null, configuredClientId: null }
})
afterEach(async () => {
  await server.close()
  await rm(home, { recursive: true, force: true, maxRetries: 5 })
})

const newStore = () => createFileStore({ home, emit: (event) => void events.push(event) })

function keeper(parts: Partial<KeeperParts> = {}): Keeper {
  const emit = (event: LatchkeyEvent) => void events.push(event)
  const network = createNetwork({ fetch: (i, o) => fetch(i, o), clock, emit, userAgent: 'test' })
  const context: FlowContext = {
    ...network('demo', server.url),
    server: 'demo',
    emit,
    clock,
    clientName: 'test',
    loginCommand: 'latchkey login demo',
  }
  const { settings = {} } = parts
  return new Keeper({ identity, settings, store, context, renewal: renewalOf(settings), ...parts })
}

/** A login that the server knows, stored for one hour. */
async function logIn(changes: Partial<TokenSet> = {}): Promise<TokenSet> {
  const { client_id, token } = await signIn(server.metadata(), { redirect_uri, resource: server.url })
  const now = Math.floor(clock.now() / 1000)
  const tokens: TokenSet = {
    issuer: server.issuer,
    resource: server.url,
    client_id,
    token_endpoint_auth_method: 'none',
    client_kind: 'dynamic',
    redirect_uri,
    token_endpoint: `${server.origin}/token`,
    access_token: token.body.access_token!,
    token_type: 'bearer',
    refresh_token: token.body.refresh_token!,
    expires_at: now + 3600,
    obtained_at: now,
    ...changes,
  }
  const registration: ClientRegistration = {
    issuer: server.issuer,
    redirect_uri,
    client_id,
    token_endpoint_auth_method: 'none',
    created_at: now,
  }
  await keeper().save({ tokens, registration, isNewClient: true })
  server.requests.clear()
  return tokens
}

const hour = 3_600_000
const stored = () => readFile(store.locate(tokensKey(identity)), 'utf8')
const refreshTokens = () => server.requests.to('/token').map((sent) => parameters(sent).refresh_token)
const answerTokens = (answer: (standard: Answer) => Answer | Promise<Answer>) => {
  server.scripts = { token: (_request, standard) => answer(standard) }
}

test('a login that is alive is used as it is; without one there is nothing', async () => {
  expect(await keeper().usable()).toBeUndefined()
  const tokens = await logIn()
  expect(await keeper().usable()).toEqual(tokens)
  expect(server.requests).toHaveLength(0)
})

test('[REF-05] ten parallel callers share one refresh', async () => {
  await logIn()
  clock.pass(hour)
  let locks = 0
  const lock: CredentialStore['lock'] = (...args) => {
    locks += 1
    return store.lock(...args)
  }
  const one = keeper({ store: { ...store, lock } })
  const tokens = await Promise.all(Array.from({ length: 10 }, () => usable(one)))
  expect(locks).toBe(1)
  expect(new Set(tokens.map((each) => each!.access_token)).size).toBe(1)
  expect(server.requests.lines()).toEqual(['POST /token'])
  expect((await newStore().read(tokensKey(identity)))!.record.access_token).toBe(tokens[0]!.access_token)
})

test('[REF-05] two keepers on one store refresh once: the second takes what the first wrote', async () => {
  await logIn()
  clock.pass(hour)
  const [first, second] = [keeper(), keeper({ store: newStore() })]
  const tokens = await Promise.all([usable(first), usable(second), usable(first), usable(second)])
  expect(new Set(tokens.map((each) => each!.access_token)).size).toBe(1)
  expect(refreshTokens()).toHaveLength(1)
})

test('a caller whose token was refused gets the newer one, without another refresh', async () => {
  const before = await logIn()
  const one = keeper()
  const renewed = await one.renew(before.access_token)
  expect(await one.renew(before.access_token)).toEqual(renewed)
  expect(refreshTokens()).toEqual([before.refresh_token])
})

test('[REF-08] renews when less than a minute is left, not before', async () => {
  const tokens = await logIn()
  const one = keeper()
  clock.pass(hour - 62_000)
  expect((await usable(one))!.access_token).toBe(tokens.access_token)
  clock.pass(3_000)
  expect((await usable(one))!.access_token).not.toBe(tokens.access_token)
})

test('[REF-02] without a refresh token it is used to its end, and then it is over but not deleted', async () => {
  const { refresh_token: _none, ...tokens } = await logIn()
  await store.write(tokensKey(identity), encodeRecord(tokensKey(identity), tokens))
  const before = await stored()
  clock.pass(hour - 5_000)
  expect(await keeper().usable()).toEqual(tokens)
  clock.pass(6_000)
  expect(await keeper().usable()).toBe('over')
  expect(await stored()).toBe(before)
  expect(server.requests).toHaveLength(0)
})

const troubles: Record<string, Answer> = {
  'HTTP 500': { status: 500, body: { error: 'boom' } },
  'HTTP 502 with a page': { status: 502, body: '<html>' },
  'a reset connection': { destroy: true },
  'a page instead of JSON': { status: 200, body: '<html>' },
  temporarily_unavailable: { status: 400, body: { error: 'temporarily_unavailable' } },
}
test.each(Object.entries(troubles))('[REF-06] %s keeps the store byte for byte', async (_title, answer) => {
  // The scripted server acts on the request before its answer is spoilt.
  server.settings.rotate = false
  const tokens = await logIn()
  const before = await stored()
  const one = keeper()
  answerTokens(() => answer)
  clock.pass(hour - 30_000)
  expect(await usable(one)).toEqual(tokens)
  clock.pass(30_000)
  expect(['network_failed', 'response_invalid']).toContain(
    (await failureOf<{ code: string }>(usable(one))).code,
  )
  expect(await stored()).toBe(before)

  server.scripts = {}
  const renewed = await usable(one)
  expect(renewed!.access_token).not.toBe(tokens.access_token)
  expect(renewed!.refresh_token).toBe(tokens.refresh_token)
  expect(events.filter(({ type }) => type === 'refresh_failed')).toMatchObject([
    { terminal: false },
    { terminal: false },
  ])
})

test('[REF-06] invalid_grant ends this login and no other', async () => {
  await logIn()
  const other = tokensKey({ ...identity, configuredClientId: 'another' })
  await store.write(other, { ...other.identity, access_token: 'kept' })
  clock.pass(hour)
  answerTokens(() => tokenError('invalid_grant', 'revoked'))
  expect(await keeper().usable()).toBe('over')
  expect(await store.read(tokensKey(identity))).toBeUndefined()
  expect((await store.read(other))!.record.access_token).toBe('kept')
  // The client is still good.
  expect(await keeper().registrations()).toHaveLength(1)
})

test('[REG-12] invalid_client ends the login and the registration of that very client', async () => {
  await logIn()
  clock.pass(hour)
  answerTokens(() => ({ ...tokenError('invalid_client', 'deleted'), status: 401 }))
  expect(await keeper().usable()).toBe('over')
  expect(await keeper().registrations()).toEqual([])
})

test('invalid_client leaves a registration that is newer alone', async () => {
  await logIn()
  clock.pass(hour)
  const key = registrationKey(identity, server.issuer, redirect_uri)
  const newer = { ...(await store.read(key))!.record, client_id: 'registered-since' }
  answerTokens(async () => {
    await store.write(key, newer)
    return { ...tokenError('invalid_client', 'deleted'), status: 401 }
  })
  expect(await keeper().usable()).toBe('over')
  expect(await keeper().registrations()).toMatchObject([{ client_id: 'registered-since' }])
})

test.each(['a token', 'invalid_grant', 'invalid_client'])(
  '[REF-07] a login that was stored while the server answered %s is used, not overwritten or deleted',
  async (title) => {
    const tokens = await logIn()
    clock.pass(hour)
    const now = Math.floor(clock.now() / 1000)
    const newer = { ...tokens, access_token: 'of-a-new-sign-in', obtained_at: now, expires_at: now + 3600 }
    answerTokens(async (standard) => {
      await store.write(tokensKey(identity), encodeRecord(tokensKey(identity), newer))
      return title === 'a token' ? standard : tokenError(title, 'reused')
    })
    expect((await usable(keeper()))!.access_token).toBe('of-a-new-sign-in')
    expect(await keeper().read()).toEqual(newer)
    expect(await keeper().registrations()).toHaveLength(1)
  },
)

const misfits: Record<string, [Partial<TokenSet>, KeeperParts['settings']]> = {
  'another issuer': [
    {},
    {
      oauth_provider: {
        metadata: {
          issuer: 'https://other.example',
          authorization_endpoint: 'https://other.example/a',
          token_endpoint: 'https://other.example/t',
        },
      },
    },
  ],
  '[BIND-01] [USE-03] an issuer other than the one configured': [{}, { issuer: 'https://other.example' }],
  '[USE-03] another resource': [{}, { resource: 'https://other.example' }],
  'a resource where none is wanted': [{}, { resource: 'off' }],
  'a configured client under the key of a dynamic one': [{ client_kind: 'pre-registered' }, {}],
  'a method nobody knows': [{ token_endpoint_auth_method: 'mtls' as never }, {}],
}
test.each(Object.entries(misfits))(
  '[STORE-05] a record with %s is neither used nor deleted, and told of once',
  async (_title, [changes, settings]) => {
    await logIn(changes)
    const before = await stored()
    const one = keeper({ settings })
    for (let round = 0; round < 3; round++) expect(await usable(one)).toBeUndefined()
    expect(await one.renew('anything')).toBeUndefined()
    expect(await stored()).toBe(before)
    expect(server.requests).toHaveLength(0)
    expect(events.filter(({ type }) => type === 'warning')).toMatchObject([{ code: 'record_does_not_fit' }])
  },
)

test('a lock that was lost before the request: store_failed, and nothing is sent', async () => {
  await logIn()
  clock.pass(hour)
  const before = await stored()
  const lock: CredentialStore['lock'] = async (...args) => ({
    ...(await store.lock(...args)),
    isHeld: async () => false,
  })
  expect(await failureOf(keeper({ store: { ...store, lock } }).usable())).toMatchObject({
    code: 'store_failed',
  })
  expect(server.requests).toHaveLength(0)
  expect(await stored()).toBe(before)
})

/** A store whose medium is full when something is to be written, however much room was reserved. */
function fillableStore() {
  const disk = {
    isFull: true,
    get store(): CredentialStore {
      const { reserve: _none, ...others } = store
      return {
        ...others,
        write: async (...args) => {
          if (disk.isFull) throw new StoreFailedError({ message: 'The disk is full.', location: 'here' })
          return store.write(...args)
        },
      }
    },
  }
  return disk
}

test('a store that fails for a moment costs nothing: the write is repeated', async () => {
  const before = await logIn()
  clock.pass(hour)
  const { reserve: _none, ...others } = store
  let failures = 2
  const write: CredentialStore['write'] = async (...args) => {
    if (failures-- > 0) throw new StoreFailedError({ message: 'The database went away.', location: 'here' })
    return store.write(...args)
  }
  const renewed = await usable(keeper({ store: { ...others, write } }))
  expect(await keeper().read()).toEqual(renewed)
  expect(refreshTokens()).toEqual([before.refresh_token])
})

test('a first write that arrived although its answer did not is recognised as our own', async () => {
  await logIn()
  clock.pass(hour)
  const { reserve: _none, ...others } = store
  let isLost = true
  const write: CredentialStore['write'] = async (...args) => {
    const written = await store.write(...args)
    if (isLost) {
      isLost = false
      throw new StoreFailedError({ message: 'The answer got lost.', location: 'here' })
    }
    return written
  }
  const one = keeper({ store: { ...others, write } })
  const renewed = await usable(one)
  expect(await keeper().read()).toEqual(renewed)
  clock.pass(hour)
  expect(await usable(one)).toBeDefined()
  expect(refreshTokens()).toHaveLength(2)
})

test('a login that somebody deleted with the spent token is stored again by who renewed it', async () => {
  await logIn()
  clock.pass(hour)
  answerTokens(async (standard) => {
    await store.delete(tokensKey(identity))
    return standard
  })
  const one = keeper()
  const renewed = await usable(one)
  expect(renewed).toBeDefined()
  expect(await keeper().read()).toEqual(renewed)
})

test('without room for the new login nothing is sent: the old one is not spent', async () => {
  const tokens = await logIn()
  const before = await stored()
  let isFull = true
  const reserve: CredentialStore['reserve'] = async (key) => {
    if (isFull) throw new StoreFailedError({ message: 'The disk is full.', location: 'here' })
    return store.reserve!(key)
  }
  const one = keeper({ store: { ...store, reserve } })
  clock.pass(hour - 30_000)
  expect(await usable(one)).toEqual(tokens)
  clock.pass(30_000)
  expect(await failureOf(usable(one))).toMatchObject({ code: 'store_failed' })
  expect(server.requests).toHaveLength(0)
  expect(await stored()).toBe(before)
  isFull = false
  expect((await usable(one))!.access_token).not.toBe(tokens.access_token)
  expect(refreshTokens()).toEqual([tokens.refresh_token])
})

test('a renewal is written into the room that was taken before the request, and the room is given back', async () => {
  await logIn()
  clock.pass(hour)
  const order: string[] = []
  answerTokens((standard) => {
    order.push('request')
    return standard
  })
  const reserve: CredentialStore['reserve'] = async (key) => {
    order.push('reserve')
    const room = await store.reserve!(key)
    return {
      write: (...args) => {
        order.push('write')
        return room.write(...args)
      },
      release: () => {
        order.push('release')
        return room.release()
      },
    }
  }
  const write = () => Promise.reject(new Error('not by this way'))
  await usable(keeper({ store: { ...store, reserve, write } }))
  expect(order).toEqual(['reserve', 'request', 'write', 'release'])
})

test('[REF-11] a renewal that cannot be written is an error, but this process goes on with it', async () => {
  const before = await logIn()
  clock.pass(hour)
  const disk = fillableStore()
  const one = keeper({ store: disk.store })
  expect(await failureOf(usable(one))).toMatchObject({
    code: 'store_failed',
    message: expect.stringContaining('was renewed and could not be stored: The disk is full.'),
    remedy: expect.stringContaining('latchkey login demo'),
  })
  const renewed = await usable(one)
  expect(renewed!.access_token).not.toBe(before.access_token)

  // The next renewal starts from what only this process knows: the stored refresh token is used up.
  disk.isFull = false
  clock.pass(hour)
  const third = await usable(one)
  expect(refreshTokens()).toEqual([before.refresh_token, renewed!.refresh_token])
  expect(await keeper().read()).toEqual(third)
})

test('the end of a login deletes it and keeps the registration', async () => {
  const tokens = await logIn()
  const one = keeper()
  expect(await one.end(async (ended) => ended)).toEqual({ tokens, outcome: tokens })
  expect(await usable(one)).toBeUndefined()
  expect(await one.registrations()).toHaveLength(1)
  expect(await one.end(async () => 'asked')).toBeUndefined()
})

test('the end of a login leaves a record of another client and a newer login alone', async () => {
  const tokens = await logIn()
  const configured = keeper({ settings: { resource: 'https://elsewhere.example' } })
  expect(await configured.end(async () => 'asked')).toBeUndefined()
  expect(await keeper().read()).toEqual(tokens)
  const newer = { ...tokens, access_token: 'of-a-new-sign-in' }
  await keeper().end(async () => {
    await store.write(tokensKey(identity), encodeRecord(tokensKey(identity), newer))
  })
  expect(await keeper().read()).toEqual(newer)
})

test('what could not be written is offered to the store again', async () => {
  await logIn()
  const disk = fillableStore()
  const one = keeper({ store: disk.store })
  clock.pass(hour)
  expect(await failureOf(one.usable())).toMatchObject({ code: 'store_failed' })
  const renewed = await usable(one)
  expect(await keeper().read()).not.toEqual(renewed)
  disk.isFull = false
  clock.pass(11_000)
  await one.usable()
  expect(await keeper().read()).toEqual(renewed)
})

test('tokens that need no person are asked for once by all who ask in the same moment, and so is an error', async () => {
  const tokens = await logIn()
  await store.delete(tokensKey(identity))
  const one = keeper()
  let asked = 0
  const get = async () => {
    asked += 1
    return tokens
  }
  const got = await Promise.all([1, 2, 3].map(() => one.obtain(() => true, get)))
  expect(got).toEqual([tokens, tokens, tokens])
  expect(asked).toBe(1)

  const other = keeper()
  const refuse = async () => {
    asked += 1
    throw new Error('refused')
  }
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => other.obtain(() => false, refuse)))
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(asked).toBe(2)
})

test('a registration in doubt stays, and a login with it clears it', async () => {
  const tokens = await logIn()
  const one = keeper()
  const [registration] = await one.registrations()
  await one.doubt(registration!)
  expect(await keeper().registrations()).toEqual([{ ...registration, doubted_at: expect.any(Number) }])
  // The tokens do not need it.
  expect(await usable(keeper())).toEqual(tokens)
  await one.save({ tokens, registration, isNewClient: false })
  expect(await keeper().registrations()).toEqual([registration])
})

test('a registration that somebody else replaced is not doubted', async () => {
  await logIn()
  const one = keeper()
  const [registration] = await one.registrations()
  await one.doubt({ ...registration!, client_id: 'the one before' })
  expect(await keeper().registrations()).toEqual([registration])
})
