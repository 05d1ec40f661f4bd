import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import type { StoredRecord } from '../src/ports.ts'
import { report, size } from './campaign.ts'
import { newPlace } from './campaign-places.ts'
import { type CampaignChild, type Gate, startCampaignChild } from './campaign-program.ts'
import { openCampaignStore, type StoreAddress } from './campaign-stores.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { hasPostgres, hasRedis } from './fixtures/databases.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters, type RequestLog } from './fixtures/request-log.ts'
import { startScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { requires } from './requires.ts'
import { buildProgram } from './session-program.ts'

/** In a short run a stop lasts until another process has taken the lock over and is done: about 4 s. */
const AT_LEAST = size(0, 10_000)

let program: Awaited<ReturnType<typeof buildProgram>>
beforeAll(async () => {
  program = await buildProgram('campaign-child')
})
afterAll(() => program.remove())

interface Server {
  readonly url: string
  readonly requests: RequestLog
  close(): Promise<void>
}

/** Rotates; a used refresh token that comes again ends the whole login, or, `tolerant`, every token works for ever. */
async function startOidcProvider({
  tolerant = false,
} = {}): Promise<Server & { authorizationServer: AuthorizationServer }> {
  const authorizationServer = await startAuthorizationServer({ rotate: !tolerant })
  const server = await startProtectedServer(authorizationServer)
  return {
    url: server.url,
    authorizationServer,
    requests: authorizationServer.requests,
    close: async () => {
      await Promise.all([server.close(), authorizationServer.close()])
    },
  }
}

/** As above, and busy at the first refresh. */
async function startBusyServer(): Promise<Server> {
  const server = await startOidcProvider()
  let isBusy = true
  server.authorizationServer.intercept = (request) => {
    if (!isBusy || request.pathname !== '/token') return undefined
    if (parameters(request).grant_type !== 'refresh_token') return undefined
    isBusy = false
    return { status: 429, headers: { 'retry-after': '1' } }
  }
  return server
}

/** Rotates; a used refresh token is refused, and nothing else happens. */
const startPlainRotation = (): Promise<Server> => startScriptedAuthorizationServer({ mcp: {} })

interface Scene {
  /** Stands at its gate and is stopped there. */
  readonly holder: CampaignChild
  /** Another process, which has not asked for anything yet. */
  readonly peer: CampaignChild
  /** The person signs in again. */
  login(): Promise<void>
  /** The only stored login. */
  stored(): Promise<StoredRecord>
  refreshTokens(): (string | undefined)[]
  /** Goes on with the holder. */
  wake(): Promise<string[]>
}

/** A process stopped at that moment of its refresh, with the lock in its hands. */
async function stopAt(
  gate: Gate,
  kind: StoreAddress['kind'],
  server: Server,
  { onTestFinished, expect }: TestContext,
): Promise<Scene> {
  onTestFinished(() => server.close())
  const place = await newPlace(kind, onTestFinished)
  const { store, close } = await openCampaignStore(place)
  onTestFinished(close)
  const bench = await openWorkbench({ options: { store } })
  onTestFinished(() => bench.close())
  const login = async () => void (await bench.login({ name: 'demo', url: server.url }))
  await login()
  await changeStoredLogins(store, expired)

  const start = (at?: Gate): CampaignChild => {
    const child = startCampaignChild(program.file, {
      server: { url: server.url },
      store: place,
      gate: at,
    })
    onTestFinished(async () => {
      child.process.kill('SIGKILL')
      await child.ended
    })
    return child
  }
  const [holder, peer] = [start(gate), start()]
  expect(await holder.callUntilGate()).toEqual({ at: gate })
  holder.process.kill('SIGSTOP')
  const stopped = performance.now()
  await peer.ready
  return {
    holder,
    peer,
    login,
    stored: async () => {
      const logins = await store.list({ kind: 'tokens' })
      expect(logins).toHaveLength(1)
      return logins[0]!
    },
    refreshTokens: () =>
      server.requests
        .to('/token')
        .map(parameters)
        .filter(({ grant_type }) => grant_type === 'refresh_token')
        .map(({ refresh_token }) => refresh_token),
    wake: async () => {
      await sleep(Math.max(0, AT_LEAST - (performance.now() - stopped)))
      const outcome = holder.go()
      holder.process.kill('SIGCONT')
      const { said } = await outcome
      report(
        `${kind} store, stopped ${gate} for ${((performance.now() - stopped) / 1000).toFixed(1)} s: then ${said.join()}`,
      )
      return said
    },
  }
}

async function beforeItLooked(gate: Gate, kind: StoreAddress['kind'], context: TestContext): Promise<void> {
  const { expect } = context
  const { peer, holder, stored, refreshTokens, wake } = await stopAt(
    gate,
    kind,
    await startOidcProvider(),
    context,
  )
  expect((await peer.call()).said).toEqual(['alice'])
  const newer = await stored()
  expect(await wake()).toEqual(['alice'])
  expect(refreshTokens()).toHaveLength(1)
  expect(await stored()).toEqual(newer)
  expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
  expect((await peer.call()).said).toEqual(['alice'])
  expect(refreshTokens()).toHaveLength(1)
}

// Each of these mostly waits until the lock of the stopped process is taken over, so they wait together.
function stops(kind: StoreAddress['kind']): void {
  test.concurrent(
    'before it looked whether the lock is still its own: it sends nothing, and uses the newer token',
    {
      timeout: 60_000,
    },
    (context) => beforeItLooked('checking', kind, context),
  )

  test.concurrent('before it sent an old token, which is then refused: it uses the newer one, and deletes nothing', {
    timeout: 60_000,
  }, async (context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      'sending',
      kind,
      await startPlainRotation(),
      context,
    )
    expect((await peer.call()).said).toEqual(['alice'])
    const newer = await stored()
    expect(await wake()).toEqual(['alice'])
    const [first, second, ...more] = refreshTokens()
    expect(second).toBe(first)
    expect(more).toEqual([])
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect((await peer.call()).said).toEqual(['alice'])
    expect(refreshTokens()).toHaveLength(2)
  })

  test.concurrent('between answer and write, where the old token still works: it does not write over the newer one', {
    timeout: 60_000,
  }, async (context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      'answered',
      kind,
      await startOidcProvider({ tolerant: true }),
      context,
    )
    const before = await stored()
    expect((await peer.call()).said).toEqual(['alice'])
    const newer = await stored()
    expect(newer.record.access_token).not.toBe(before.record.access_token)
    expect(await wake()).toEqual(['alice'])
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect(refreshTokens()).toHaveLength(2)
  })
}

describe('a process that was stopped with the lock in its hands, with the file store', () => {
  stops('file')

  test.concurrent(
    'before it read the token: it uses the newer one',
    {
      timeout: 60_000,
    },
    (context) => beforeItLooked('locked', 'file', context),
  )

  test.concurrent('while it waited for a busy server: it does not try again with the old token, but uses the newer one', {
    timeout: 60_000,
  }, async (context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      'put off',
      'file',
      await startBusyServer(),
      context,
    )
    expect((await peer.call()).said).toEqual(['alice'])
    const newer = await stored()
    expect(await wake()).toEqual(['alice'])
    expect(refreshTokens()).toHaveLength(2)
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect((await peer.call()).said).toEqual(['alice'])
  })

  test.concurrent('between answer and write, where the old token ends the login: a new sign-in is used and stays', {
    timeout: 60_000,
  }, async (context) => {
    const { expect } = context
    const { peer, holder, login, stored, wake } = await stopAt(
      'answered',
      'file',
      await startOidcProvider(),
      context,
    )
    // Nobody but the stopped process could have known the new token, and using the old one ended both.
    expect((await peer.call()).said).toEqual(['login_required'])
    await login()
    const newer = await stored()
    expect(await wake()).toEqual(['alice'])
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect((await peer.call()).said).toEqual(['alice'])
  })
})
requires('redis', await hasRedis())('a process that was stopped with the lease in its hands, in Redis', () =>
  stops('redis'),
)
requires('postgres', await hasPostgres())(
  'a process that was stopped with the lease in its hands, in PostgreSQL',
  () => stops('postgres'),
)
