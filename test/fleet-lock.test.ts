import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createPostgresStore, postgresSchema } from '../src/stores/postgres.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { hasPostgres, hasRedis, postgresNames, redisNames } from './fixtures/databases.ts'
import { requires } from './requires.ts'
import { buildFleetChild, type StoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

const PROCESSES = 6
/** A night's run: `LATCHKEY_TEST_ROUNDS=1000 npx vitest run test/fleet-lock.test.ts`. */
const ROUNDS = Number(process.env.LATCHKEY_TEST_ROUNDS ?? 20)
const SECRET = randomBytes(32).toString('base64')
const KEYS = { current: 'k1', keys: { k1: SECRET } }

let child: Awaited<ReturnType<typeof buildFleetChild>>
beforeAll(async () => {
  child = await buildFleetChild()
})
afterAll(() => child.remove())

const key = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
} as const

/** The lock of a store between processes. `newPlace` makes a store of its own for every test. */
function lockTests(kind: string, newPlace: () => Promise<string>): void {
  /** Starts children that do not outlive the test. */
  const starter = (finish: (end: () => void) => void, place: string) => {
    return (role: string, ...args: string[]): StoreChild => {
      const started = startStoreChild(child.program, [role, kind, place, SECRET, ...args])
      finish(() => void started.process.kill('SIGKILL'))
      return started
    }
  }

  test(`${PROCESSES} processes x ${ROUNDS} rounds: never two in at once, no update lost`, {
    timeout: 30_000 + ROUNDS * 1000,
  }, async () => {
    const folder = await temporaryFolder()
    onTestFinished(() => folder.remove())
    await writeFile(join(folder.path, 'counter'), '0')
    const start = starter(onTestFinished, await newPlace())
    const children = Array.from({ length: PROCESSES }, () => start('rounds', folder.path, String(ROUNDS)))
    expect(await Promise.all(children.map(({ ended }) => ended))).toEqual(children.map(() => 0))
    const log = (await readFile(join(folder.path, 'log'), 'utf8')).trim().split('\n')
    expect(log).toHaveLength(PROCESSES * ROUNDS * 2)
    for (let line = 0; line < log.length; line += 2) {
      expect(log[line + 1]).toBe(log[line]?.replace('in', 'out'))
    }
    expect(await readFile(join(folder.path, 'counter'), 'utf8')).toBe(String(PROCESSES * ROUNDS))
  })

  // Each of these mostly waits for the lease of 3.5 s, so they wait together.
  describe.concurrent('a holder', () => {
    test('that is killed blocks the next one for less than 4 s', { timeout: 20_000 }, async ({
      onTestFinished,
      expect,
    }) => {
      const start = starter(onTestFinished, await newPlace())
      const [holder, waiter] = [start('talk', 'holder'), start('talk', 'waiter')]
      expect(await holder.ask('lock')).toBe('locked')
      expect(await waiter.ask('read')).toBe(null)
      const answer = waiter.ask('lock')
      holder.process.kill('SIGKILL')
      await holder.ended
      const killed = performance.now()
      expect(await answer).toBe('locked')
      expect(performance.now() - killed).toBeLessThan(4000)
    })

    test('that lives keeps its lock for longer than a lease', { timeout: 20_000 }, async ({
      onTestFinished,
      expect,
    }) => {
      const start = starter(onTestFinished, await newPlace())
      const [holder, waiter] = [start('talk', 'holder'), start('talk', 'waiter')]
      expect(await holder.ask('lock')).toBe('locked')
      expect(await waiter.ask('read')).toBe(null)
      let isIn = false
      const answer = waiter.ask('lock').then((said) => {
        isIn = true
        return said
      })
      await new Promise((resolve) => setTimeout(resolve, 5000))
      expect(isIn).toBe(false)
      expect(await holder.ask('held')).toBe(true)
      await holder.ask('release')
      expect(await answer).toBe('locked')
    })

    test('that was stopped learns that its lock is gone, and its release changes nothing', {
      timeout: 20_000,
    }, async ({ onTestFinished, expect }) => {
      const start = starter(onTestFinished, await newPlace())
      const [stopped, next, third] = ['stopped', 'next', 'third'].map((name) => start('talk', name))
      expect(await stopped?.ask('lock')).toBe('locked')
      stopped?.process.kill('SIGSTOP')
      expect(await next?.ask('lock')).toBe('locked')
      stopped?.process.kill('SIGCONT')
      expect(await stopped?.ask('held')).toBe(false)
      expect(await stopped?.ask('release')).toBe(null)
      expect(await next?.ask('held')).toBe(true)
      const waiting = third?.ask('lock')
      expect(await next?.ask('release')).toBe(null)
      expect(await waiting).toBe('locked')
    })
  })
}

requires('redis', await hasRedis())('redis', () => {
  let names: Awaited<ReturnType<typeof redisNames>>
  beforeAll(async () => {
    names = await redisNames()
  })
  afterAll(() => names.remove())
  lockTests('redis', async () => names.newPrefix())

  test('a lease that its holder did not free in time is not freed by a late release', async () => {
    const prefix = names.newPrefix()
    const store = createRedisStore({ client: names.client, keys: KEYS, prefix })
    const lease = await store.lock(key)
    for (const name of await names.client.keys(`${prefix}lock:*`))
      await names.client.set(name, 'somebody else')
    expect(await lease.isHeld()).toBe(false)
    await lease.release()
    expect(await names.client.keys(`${prefix}lock:*`)).toHaveLength(1)
  })
})

requires('postgres', await hasPostgres())('postgres', () => {
  let names: Awaited<ReturnType<typeof postgresNames>>
  beforeAll(async () => {
    names = await postgresNames()
  })
  afterAll(() => names.remove())
  const newPlace = async (): Promise<string> => {
    const table = names.newTable()
    await names.pool.query(postgresSchema(table))
    return table
  }
  lockTests('postgres', newPlace)

  test('no connection is held while a lock is: more locks than connections', async () => {
    const table = await newPlace()
    const store = createPostgresStore({ pool: names.pool, keys: KEYS, table })
    const leases = await Promise.all(
      Array.from({ length: 25 }, (_, number) => store.lock({ ...key, account: `account ${number}` })),
    )
    expect(await Promise.all(leases.map((lease) => lease.isHeld()))).toEqual(leases.map(() => true))
    await Promise.all(leases.map((lease) => lease.release()))
    expect((await names.pool.query(`SELECT * FROM ${table}_locks`)).rowCount).toBe(0)
  })
})
