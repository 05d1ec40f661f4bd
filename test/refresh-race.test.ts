import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { report, size } from './campaign.ts'
import { type CampaignChild, startCampaignChild } from './campaign-program.ts'
import { openCampaignStore, type StoreAddress } from './campaign-stores.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { hasPostgres, hasRedis, KEYS, postgresNames, redisNames } from './fixtures/databases.ts'
import * as plainClient from './fixtures/plain-client.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { requires } from './requires.ts'
import { type BundledProgram, bundleProgram } from './session-program.ts'

const PROCESSES = 8
const CALLS = 5
const HOUR = 3_600_000

let program: BundledProgram
beforeAll(async () => {
  program = await bundleProgram('campaign-child.ts')
})
afterAll(() => program.remove())

/** A server that rotates, and what it says about the tokens it took. */
interface RotatingServer {
  readonly url: string
  /** The refresh tokens that were sent, in order. */
  refreshTokens(): string[]
  /** How often it ended a whole login because a used token came again. */
  revocations(): number
  expireAccessTokens(): void
}

/** oidc-provider: a refresh token is good for one use, without any leeway, and its reuse ends the whole login. */
async function startOidcProvider(): Promise<RotatingServer & { authorizationServer: AuthorizationServer }> {
  let revoked = 0
  const authorizationServer = await startAuthorizationServer({
    extend: (provider) => void provider.on('grant.revoked', () => void revoked++),
  })
  const server = await startProtectedServer(authorizationServer)
  onTestFinished(async () => {
    await Promise.all([server.close(), authorizationServer.close()])
  })
  return {
    url: server.url,
    authorizationServer,
    refreshTokens: () =>
      authorizationServer.requests
        .to('/token')
        .map(parameters)
        .flatMap(({ grant_type, refresh_token }) => (grant_type === 'refresh_token' ? [refresh_token!] : [])),
    revocations: () => revoked,
    expireAccessTokens: () => authorizationServer.expireAccessTokens(),
  }
}

test('the server of this campaign ends the whole login when a used refresh token comes again', async () => {
  const { url, authorizationServer, revocations } = await startOidcProvider()
  const metadata = await authorizationServer.metadata()
  const { client_id, token } = await plainClient.signIn(metadata, {
    resource: url,
    scope: 'mcp:read offline_access',
    prompt: 'consent',
  })
  const refresh = (refresh_token: unknown) => plainClient.refresh(metadata, client_id, refresh_token, url)
  const newer = await refresh(token.body.refresh_token)
  expect(newer.body.refresh_token).not.toBe(token.body.refresh_token)
  expect(authorizationServer.verifyAccessToken(newer.body.access_token!, url)).toBeDefined()

  expect((await refresh(token.body.refresh_token)).body.error).toBe('invalid_grant')
  expect(revocations()).toBe(1)
  expect((await refresh(newer.body.refresh_token)).body.error).toBe('invalid_grant')
  expect(authorizationServer.verifyAccessToken(newer.body.access_token!, url)).toBeUndefined()
})

/** A fresh place for each kind of store. */
const places: Record<StoreAddress['kind'], () => Promise<StoreAddress>> = {
  file: async () => {
    const at = await mkdtemp(join(tmpdir(), 'latchkey-race-'))
    onTestFinished(() => rm(at, { recursive: true, force: true }))
    return { kind: 'file', at }
  },
  redis: async () => {
    const names = await redisNames()
    onTestFinished(() => names.remove())
    return { kind: 'redis', at: names.newPrefix(), key }
  },
  postgres: async () => {
    const names = await postgresNames()
    onTestFinished(() => names.remove())
    const at = names.newTable()
    await names.newStore(at)
    return { kind: 'postgres', at, key }
  },
}
const key = Buffer.from(KEYS.keys.k1!).toString('base64')

const servers: Record<string, () => Promise<RotatingServer>> = {
  'oidc-provider': startOidcProvider,
}

function race(serverName: string, kind: StoreAddress['kind'], rounds = size(20, 200)): void {
  test(`${PROCESSES} processes with ${CALLS} calls each, ${rounds} times at the end of a token: one refresh each time, and no login is lost`, {
    timeout: 60_000 + rounds * 1_000,
  }, async () => {
    const server = await servers[serverName]!()
    const store = await places[kind]()
    await logIn(server, store)
    const children = Array.from({ length: PROCESSES }, () => startChild(server, store))
    // The first calls open the sessions; from here on nothing but the token changes.
    for (const { said } of await Promise.all(children.map((child) => child.call()))) {
      expect(said).toEqual(['alice'])
    }
    expect(server.refreshTokens()).toEqual([])

    const started = performance.now()
    let calls = 0
    for (let round = 1; round <= rounds; round++) {
      server.expireAccessTokens()
      // In turns: all know by the clock that the token has ended, and only the server says so.
      if (round % 2 === 0) await Promise.all(children.map((child) => child.pass(HOUR)))
      const outcomes = await Promise.all(children.map((child) => child.call(CALLS)))
      const said = outcomes.flatMap((outcome) => outcome.said)
      calls += said.length
      expect(said).toEqual(Array(PROCESSES * CALLS).fill('alice'))
      expect(server.refreshTokens()).toHaveLength(round)
    }
    const sent = server.refreshTokens()
    // Each is the one that the answer before brought: none is used twice.
    expect(new Set(sent).size).toBe(rounds)
    expect(server.revocations()).toBe(0)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    report(
      `refresh race at ${serverName}, ${kind} store: ${PROCESSES} processes x ${CALLS} calls x ${rounds} rounds: ` +
        `${sent.length} refreshes, ${calls} calls succeeded, ${server.revocations()} logins revoked, ${seconds} s`,
    )
  })
}

describe('at oidc-provider, with the file store', () => race('oidc-provider', 'file', size(50, 200)))
requires('redis', await hasRedis())('at oidc-provider, with the Redis store', () =>
  race('oidc-provider', 'redis'),
)
requires('postgres', await hasPostgres())('at oidc-provider, with the PostgreSQL store', () =>
  race('oidc-provider', 'postgres'),
)

async function logIn({ url }: RotatingServer, address: StoreAddress): Promise<void> {
  const { store, close } = await openCampaignStore(address)
  const bench = await openWorkbench({ options: { store } })
  onTestFinished(async () => {
    await bench.close()
    await close()
  })
  await bench.login({ name: 'demo', url })
}

function startChild({ url }: RotatingServer, store: StoreAddress): CampaignChild {
  const child = startCampaignChild(program.path, { server: { url }, store })
  onTestFinished(async () => {
    child.process.kill('SIGKILL')
    await child.ended
  })
  return child
}
