import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { report, size } from './campaign.ts'
import { newPlace } from './campaign-places.ts'
import { type CampaignChild, startCampaignChild } from './campaign-program.ts'
import { openCampaignStore, type StoreAddress } from './campaign-stores.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { hasPostgres, hasRedis } from './fixtures/databases.ts'
import * as plainClient from './fixtures/plain-client.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters, type RequestLog } from './fixtures/request-log.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { startWorkersAuthorizationServer } from './fixtures/workers-authorization-server.ts'
import { requires } from './requires.ts'
import { buildProgram } from './session-program.ts'

const PROCESSES = 8
const CALLS = 5
const HOUR = 3_600_000

let program: Awaited<ReturnType<typeof buildProgram>>
beforeAll(async () => {
  program = await buildProgram('campaign-child')
})
afterAll(() => program.remove())

/** A server that rotates, and what it says about the tokens it took. */
interface RotatingServer {
  readonly url: string
  /** The refresh tokens that were sent, in order. */
  refreshTokens(): string[]
  /** How many whole logins it ended because a used token came again. */
  revocations(): Promise<number>
  expireAccessTokens(): Promise<void>
}

const refreshTokens = (requests: RequestLog): string[] =>
  requests
    .to('/token')
    .map(parameters)
    .flatMap(({ grant_type, refresh_token }) => (grant_type === 'refresh_token' ? [refresh_token!] : []))

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
    refreshTokens: () => refreshTokens(authorizationServer.requests),
    revocations: async () => revoked,
    expireAccessTokens: async () => authorizationServer.expireAccessTokens(),
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
  expect(await revocations()).toBe(1)
  expect((await refresh(newer.body.refresh_token)).body.error).toBe('invalid_grant')
  expect(authorizationServer.verifyAccessToken(newer.body.access_token!, url)).toBeUndefined()
})

/** workers-oauth-provider: a used refresh token works again until its successor is used, and then kills the successor
 * (`workers-provider.test.ts` shows it). */
async function startWorkersOAuthProvider(): Promise<RotatingServer> {
  const server = await startWorkersAuthorizationServer()
  onTestFinished(() => server.close())
  return {
    url: server.url,
    refreshTokens: () => refreshTokens(server.requests),
    revocations: async () => 1 - (await server.grants('alice')),
    expireAccessTokens: () => server.expireAccessTokens(),
  }
}

const servers: Record<string, () => Promise<RotatingServer>> = {
  'oidc-provider': startOidcProvider,
  'workers-oauth-provider': startWorkersOAuthProvider,
}

function race(serverName: string, kind: StoreAddress['kind'], rounds = size(10, 50)): void {
  test(`${PROCESSES} processes with ${CALLS} calls each, ${rounds} times at the end of a token: one refresh each time, and no login is lost`, {
    timeout: 60_000 + rounds * 3_000,
  }, async () => {
    const server = await servers[serverName]!()
    const store = await newPlace(kind, onTestFinished)
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
      await server.expireAccessTokens()
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
    const revocations = await server.revocations()
    expect(revocations).toBe(0)
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    report(
      `refresh race at ${serverName}, ${kind} store: ${PROCESSES} processes x ${CALLS} calls x ${rounds} rounds: ` +
        `${sent.length} refreshes, ${calls} calls succeeded, ${revocations} logins revoked, ${seconds} s`,
    )
  })
}

describe('at oidc-provider, with the file store', () => race('oidc-provider', 'file', size(20, 50)))
// workerd takes a second for a round.
describe('at workers-oauth-provider, with the file store', () =>
  race('workers-oauth-provider', 'file', size(5, 50)))
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
  const child = startCampaignChild(program.file, { server: { url }, store })
  onTestFinished(async () => {
    child.process.kill('SIGKILL')
    await child.ended
  })
  return child
}
