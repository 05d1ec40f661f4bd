import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { report, size } from './campaign.ts'
import { type CampaignChild, type Gate, startCampaignChild } from './campaign-program.ts'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters, type RequestLog } from './fixtures/request-log.ts'
import { startScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench } from './fixtures/workbench.ts'
import { type BundledProgram, bundleProgram } from './session-program.ts'

/** In a short run a stop lasts until another process has taken the lock over and is done: about 4 s. */
const AT_LEAST = size(0, 10_000)

let program: BundledProgram
beforeAll(async () => {
  program = await bundleProgram('campaign-child.ts')
})
afterAll(() => program.remove())

interface Server {
  readonly url: string
  readonly requests: RequestLog
  close(): Promise<void>
}

/** Rotates; a used refresh token that comes again ends the whole login, or, `tolerant`, every token works for ever. */
async function startOidcProvider({ tolerant = false } = {}): Promise<Server> {
  const authorizationServer = await startAuthorizationServer({ rotate: !tolerant })
  const server = await startProtectedServer(authorizationServer)
  return {
    url: server.url,
    requests: authorizationServer.requests,
    close: async () => {
      await Promise.all([server.close(), authorizationServer.close()])
    },
  }
}

/** Rotates; a used refresh token is refused, and nothing else happens. */
const startPlainRotation = (): Promise<Server> => startScriptedAuthorizationServer({ mcp: {} })

interface Scene {
  readonly url: string
  /** Of the holder, which stands at its gate and is stopped there. */
  readonly holder: CampaignChild
  /** Another process, which has not asked for anything yet. */
  readonly peer: CampaignChild
  /** The person signs in again. */
  login(): Promise<void>
  /** The only stored login. */
  stored(): Promise<{ access_token: unknown; bytes: string }>
  refreshTokens(): (string | undefined)[]
  /** Goes on with the holder. */
  wake(): Promise<string[]>
}

/** A process stopped at that moment of its refresh, with the lock in its hands. */
async function stopAt(gate: Gate, server: Server, { onTestFinished, expect }: TestContext): Promise<Scene> {
  onTestFinished(() => server.close())
  const bench = await openWorkbench()
  onTestFinished(() => bench.close())
  const { home } = bench
  const { location } = await bench.login({ name: 'demo', url: server.url })
  await changeStoredLogins(home, expired)

  const start = (at?: Gate): CampaignChild => {
    const child = startCampaignChild(program.path, {
      server: { url: server.url },
      store: { kind: 'file', at: home },
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
    url: server.url,
    holder,
    peer,
    login: async () => void (await bench.login({ name: 'demo', url: server.url })),
    stored: async () => {
      const [login] = await storedLogins(home)
      return { access_token: login?.record.access_token, bytes: await readFile(location, 'utf8') }
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
        `stopped ${gate} for ${((performance.now() - stopped) / 1000).toFixed(1)} s: then ${said.join()}`,
      )
      return said
    },
  }
}

// Each of these mostly waits until the lock of the stopped process is taken over, so they wait together.
describe.concurrent('a process that was stopped with the lock in its hands', { timeout: 60_000 }, () => {
  test.for<[string, Gate, string]>([
    ['before it read the token: it uses the newer one', 'locked', 'alice'],
    [
      'before it looked whether the lock is still its own: it says so, and sends nothing',
      'checking',
      'store_failed',
    ],
  ])('%s', async ([_title, gate, outcome], context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      gate,
      await startOidcProvider(),
      context,
    )
    expect((await peer.call()).said).toEqual(['alice'])
    const newer = await stored()
    expect(await wake()).toEqual([outcome])
    expect(refreshTokens()).toHaveLength(1)
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect((await peer.call()).said).toEqual(['alice'])
    expect(refreshTokens()).toHaveLength(1)
  })

  test('before it sent an old token, which is then refused: it uses the newer one, and deletes nothing', async (context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      'sending',
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

  test('between answer and write, where the old token still works: it does not write over the newer one', async (context) => {
    const { expect } = context
    const { peer, holder, stored, refreshTokens, wake } = await stopAt(
      'answered',
      await startOidcProvider({ tolerant: true }),
      context,
    )
    const before = await stored()
    expect((await peer.call()).said).toEqual(['alice'])
    const newer = await stored()
    expect(newer.access_token).not.toBe(before.access_token)
    expect(await wake()).toEqual(['alice'])
    expect(await stored()).toEqual(newer)
    expect((await holder.call(5)).said).toEqual(Array(5).fill('alice'))
    expect(refreshTokens()).toHaveLength(2)
  })

  test('between answer and write, where the old token ends the login: a new sign-in is used and stays', async (context) => {
    const { expect } = context
    const { peer, holder, login, stored, wake } = await stopAt('answered', await startOidcProvider(), context)
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
