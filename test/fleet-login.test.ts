import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { tokensKey } from '../src/credentials/identity.ts'
import type { CredentialStore } from '../src/ports.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import {
  connectPostgres,
  connectRedis,
  hasPostgres,
  hasRedis,
  KEYS,
  postgresNames,
  redisNames,
} from './fixtures/databases.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { expired } from './fixtures/stored-logins.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'
import { requires } from './requires.ts'

const REPLICAS = 5

let as: AuthorizationServer
let server: McpServerFixture
beforeEach(async () => {
  as = await startAuthorizationServer()
  server = await startProtectedServer(as)
})
afterEach(async () => {
  await Promise.all([server.close(), as.close()])
})

/** Machines of a fleet: a latchkey and a connection of their own, one database. `connect` is asked for every machine. */
function fleetTests(newFleet: () => Promise<() => Promise<CredentialStore>>): void {
  async function openFleet(): Promise<{ machines: Workbench[]; store: CredentialStore }> {
    const connect = await newFleet()
    const machines = await Promise.all(
      Array.from({ length: REPLICAS }, async () => openWorkbench({ options: { store: await connect() } })),
    )
    onTestFinished(async () => {
      for (const machine of machines) await machine.close()
    })
    return { machines, store: await connect() }
  }
  const accounts = ['alice', 'bob']
  const keyOf = (account: string) => tokensKey({ serverUrl: server.url, account, configuredClientId: null })

  test('one machine signs users in, and all machines refresh each of them once', async () => {
    const { machines, store } = await openFleet()
    for (const account of accounts) await machines[0]!.login({ url: server.url }, { account })
    expect(await store.list({ kind: 'tokens' })).toHaveLength(2)
    for (const account of accounts) {
      const stored = await store.read(keyOf(account))
      await store.write(keyOf(account), expired(stored!.record))
    }
    as.expireAccessTokens()
    as.requests.clear()

    const tokens = await Promise.all(
      machines.flatMap((machine) =>
        accounts.map(async (account) => ({
          account,
          token: await machine.token({ url: server.url }, { account }),
        })),
      ),
    )
    expect(as.requests.to('/token').map((request) => parameters(request).grant_type)).toEqual([
      'refresh_token',
      'refresh_token',
    ])
    for (const account of accounts) {
      const own = new Set(tokens.filter((one) => one.account === account).map(({ token }) => token))
      expect(own).toEqual(new Set([(await store.read(keyOf(account)))?.record.access_token]))
    }
  })

  test('a login that was ended on one machine is over on all', async () => {
    const { machines, store } = await openFleet()
    const [one, other] = machines
    await one!.login({ url: server.url }, { account: 'alice' })
    await one!.latchkey.logout({ url: server.url }, { account: 'alice', store })
    const failure = await failureOf(other!.token({ url: server.url }, { account: 'alice' }))
    expect(failure).toMatchObject({ code: 'login_required' })
  })
}

requires('redis', await hasRedis())('redis', () => {
  let names: Awaited<ReturnType<typeof redisNames>>
  const clients: { destroy(): void }[] = []
  beforeAll(async () => {
    names = await redisNames()
  })
  afterAll(async () => {
    for (const client of clients) client.destroy()
    await names.remove()
  })

  fleetTests(async () => {
    const prefix = names.newPrefix()
    return async () => {
      const client = await connectRedis()
      clients.push(client)
      return createRedisStore({ client, keys: KEYS, prefix })
    }
  })

  test('a database that cannot be written is found out before a browser opens', async () => {
    const readOnly = {
      sendCommand: (args: string[]) =>
        args[0] === 'GET' || args[0] === 'ZRANGE'
          ? names.client.sendCommand(args)
          : Promise.reject(new Error("READONLY You can't write against a read only replica.")),
    }
    const store = createRedisStore({ client: readOnly, keys: KEYS, prefix: names.newPrefix() })
    const machine = await openWorkbench({ options: { store } })
    onTestFinished(() => machine.close())
    expect(await failureOf(machine.login({ url: server.url }))).toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('connect it to the primary'),
    })
    expect(machine.browser.opened).toEqual([])
    expect(as.requests.lines()).toEqual([])
  })
})

requires('postgres', await hasPostgres())('postgres', () => {
  let names: Awaited<ReturnType<typeof postgresNames>>
  const pools: { end(): Promise<void> }[] = []
  beforeAll(async () => {
    names = await postgresNames()
  })
  afterAll(async () => {
    for (const pool of pools) await pool.end()
    await names.remove()
  })

  fleetTests(async () => {
    const table = names.newTable()
    await names.newStore(table)
    return async () => {
      const pool = connectPostgres()
      pools.push(pool)
      return createPostgresStore({ pool, keys: KEYS, table })
    }
  })

  test('a table that is not there is found out before a browser opens', async () => {
    const store = createPostgresStore({ pool: names.pool, keys: KEYS, table: names.newTable() })
    const machine = await openWorkbench({ options: { store } })
    onTestFinished(() => machine.close())
    expect(await failureOf(machine.login({ url: server.url }))).toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('createTable'),
    })
    expect(machine.browser.opened).toEqual([])
    expect(as.requests.lines()).toEqual([])
  })

  test('rights that are missing are found out before a browser opens', async () => {
    const table = names.newTable()
    await names.newStore(table)
    const role = `${names.schema}_reader`
    await names.pool.query(`CREATE ROLE ${role}; GRANT USAGE ON SCHEMA ${names.schema} TO ${role};
      GRANT SELECT ON ${table} TO ${role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ${table}_locks TO ${role}`)
    const connection = await names.pool.connect()
    onTestFinished(async () => {
      await connection.query('RESET ROLE')
      connection.release()
      await names.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })
    await connection.query(`SET ROLE ${role}`)
    const store = createPostgresStore({ pool: connection, keys: KEYS, table })
    await expect(store.prepare?.({ kind: 'tokens', serverDomain: 'x', account: null })).rejects.toMatchObject(
      {
        code: 'store_failed',
        message: expect.stringMatching(/42501.*Grant this role/s),
      },
    )
  })
})
