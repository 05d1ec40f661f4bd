import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Pool } from 'pg'
import { createClient, type RedisClientType } from 'redis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { CredentialKey, CredentialStore } from '../src/ports.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import type { StoreKeys } from '../src/stores/record-cipher.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { hasPostgres, hasRedis, postgresNames, redisNames } from './fixtures/databases.ts'
import { requires } from './requires.ts'

const [k1, k2] = [randomBytes(32), randomBytes(32)]
const FIRST: StoreKeys = { current: 'k1', keys: { k1 } }
const BOTH: StoreKeys = { current: 'k2', keys: { k1, k2 } }
const SECOND: StoreKeys = { current: 'k2', keys: { k2 } }

function tokens(account: string | null = null, serverDomain = 'mcp.example.com'): CredentialKey {
  const identity = { server_url: `https://${serverDomain}/mcp`, configured_client_id: null }
  return { kind: 'tokens', serverDomain, account, identity }
}
const recordOf = (key: CredentialKey, token = 'token-canary') => ({
  ...key.identity,
  access_token: token,
  client_id: 'client-canary',
})

/** One store on a medium of its own, and a look at that medium beside it. */
interface Medium {
  open(keys: StoreKeys): CredentialStore
  /** All that the medium holds of the store, as text: names and values. */
  dump(): Promise<string>
  /** Puts the stored value of the one record where that of the other is. */
  move(from: CredentialStore, one: CredentialKey, other: CredentialKey): Promise<void>
  /** The same behind a database that answers every question with what it answered to the first. */
  openLying(): CredentialStore
  /** Puts something else where the one record is. */
  plant(content: string): Promise<void>
}

function sealedTests(newMedium: () => Promise<Medium>): void {
  test('nothing of a record or its key can be read in the database', async () => {
    const medium = await newMedium()
    const store = medium.open(FIRST)
    const key = tokens('jane-canary@example.com', 'domain-canary.example.com')
    await store.write(key, recordOf(key))
    const lease = await store.lock(key)
    const dump = await medium.dump()
    await lease.release()
    expect(dump).toContain('k1')
    expect(dump).not.toMatch(/canary|example\.com/)
    for (const hidden of ['jane-canary', 'token-canary']) {
      expect(dump).not.toContain(Buffer.from(hidden).toString('base64').slice(0, 8))
      expect(dump).not.toContain(Buffer.from(hidden).toString('hex'))
    }
  })

  test('what was deleted and released leaves nothing behind', async () => {
    const medium = await newMedium()
    const store = medium.open(FIRST)
    const key = tokens('jane')
    const before = await medium.dump()
    await store.write(key, recordOf(key))
    await (await store.lock(key)).release()
    expect(await medium.dump()).not.toBe(before)
    await store.delete(key)
    expect(await medium.dump()).toBe(before)
  })

  test('rotation: both keys open, the current one seals, and the old one can go when nothing needs it', async () => {
    const medium = await newMedium()
    const key = tokens()
    await medium.open(FIRST).write(key, recordOf(key, 'first'))
    const rotated = medium.open(BOTH)
    const stored = await rotated.read(key)
    expect(stored?.record.access_token).toBe('first')
    await rotated.write(key, recordOf(key, 'second'), { ifRevision: stored!.revision })
    expect((await medium.open(SECOND).read(key))?.record.access_token).toBe('second')
  })

  test('without its key a record is neither absent, nor used, nor replaced, nor deleted', async () => {
    const medium = await newMedium()
    const key = tokens()
    const { revision } = await medium.open(FIRST).write(key, recordOf(key))
    const before = await medium.dump()
    const store = medium.open(SECOND)
    const failure = { code: 'store_failed', message: expect.stringMatching(/"k1".*Add the key "k1"/s) }
    await expect(store.read(key)).rejects.toMatchObject(failure)
    await expect(store.list({ kind: 'tokens' })).rejects.toMatchObject(failure)
    await expect(store.write(key, recordOf(key))).rejects.toMatchObject(failure)
    await expect(store.write(key, recordOf(key), { ifRevision: revision })).rejects.toMatchObject(failure)
    await expect(store.write(key, recordOf(key), { ifRevision: null })).rejects.toMatchObject(failure)
    await expect(store.delete(key)).rejects.toMatchObject(failure)
    await expect(store.delete(key, { ifRevision: revision })).rejects.toMatchObject(failure)
    expect(await medium.dump()).toBe(before)
    expect((await medium.open(BOTH).read(key))?.revision).toBe(revision)
  })

  test('a record that somebody moved to another key is refused', async () => {
    const medium = await newMedium()
    const store = medium.open(FIRST)
    const [mine, theirs] = [tokens('mallory'), tokens('alice')]
    for (const key of [mine, theirs]) await store.write(key, recordOf(key))
    await medium.move(store, theirs, mine)
    await expect(store.read(mine)).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('changed, moved'),
    })
    expect((await store.read(theirs))?.key).toEqual(theirs)
  })

  test('a database that answers with the row of another key is not believed', async () => {
    const medium = await newMedium()
    const store = medium.open(FIRST)
    const [mine, theirs] = [tokens('mallory'), tokens('alice')]
    for (const key of [mine, theirs]) await store.write(key, recordOf(key))
    const lying = medium.openLying()
    expect((await lying.read(theirs))?.key).toEqual(theirs)
    await expect(lying.read(mine)).rejects.toMatchObject({ code: 'store_failed' })
  })

  test.each([
    ['another program’s text', 'hello'],
    ['nothing', ''],
    ['a cut record', 'aaaaaaaaaaaaaaaa k1 AAAA'],
    ['a record under a key id that is a name of the language', 'aaaaaaaaaaaaaaaa __proto__ AAAA'],
  ])('%s where a record should be is said, and left alone', async (_, content) => {
    const medium = await newMedium()
    const store = medium.open(FIRST)
    const key = tokens()
    await store.write(key, recordOf(key))
    await medium.plant(content)
    const before = await medium.dump()
    await expect(store.read(key)).rejects.toMatchObject({ code: 'store_failed' })
    await expect(store.list({ kind: 'tokens' })).rejects.toMatchObject({ code: 'store_failed' })
    expect(await medium.dump()).toBe(before)
  })

  test('where a record is names no address', async () => {
    const medium = await newMedium()
    expect(medium.open(FIRST).locate(tokens())).not.toMatch(/127\.0\.0\.1|:\/\//)
  })
}

/** Asks once, and repeats the answer. */
function firstAnswer<Args extends unknown[], Answer>(ask: (...args: Args) => Promise<Answer>) {
  let answer: Promise<Answer> | undefined
  return (...args: Args): Promise<Answer> => {
    answer ??= ask(...args)
    return answer
  }
}

/** A server that takes connections and never answers. */
async function deafServer(): Promise<{ port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port }
}

/** Throws if anything that is printed of the error holds the secret. */
async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  )
  const { inspect } = await import('node:util')
  expect(inspect(error, { depth: 10 }) + JSON.stringify(error)).not.toContain('hunter2')
  return error
}

requires('redis', await hasRedis())('redis', () => {
  let names: Awaited<ReturnType<typeof redisNames>>
  beforeAll(async () => {
    names = await redisNames()
  })
  afterAll(() => names.remove())

  sealedTests(async () => {
    const prefix = names.newPrefix()
    const { client } = names
    const record = async (): Promise<string> => (await client.keys(`${prefix}record:*`))[0]!
    return {
      open: (keys) => createRedisStore({ client, keys, prefix }),
      openLying() {
        const lying = firstAnswer((args: string[]) => client.sendCommand(args))
        return createRedisStore({ client: { sendCommand: lying }, keys: FIRST, prefix })
      },
      async dump() {
        const lines = []
        for (const name of (await client.keys(`${prefix}*`)).sort()) {
          const value =
            (await client.type(name)) === 'zset' ? await client.zRange(name, 0, -1) : await client.get(name)
          lines.push(`${name.slice(prefix.length)} ${JSON.stringify(value)}`)
        }
        return lines.join('\n')
      },
      async move(store, one, other) {
        const seen: string[] = []
        const spy = createRedisStore({
          keys: FIRST,
          prefix,
          client: {
            sendCommand: (args) => {
              seen.push(args[1]!)
              return client.sendCommand(args)
            },
          },
        })
        await spy.read(one)
        await spy.read(other)
        await client.set(seen[1]!, (await client.get(seen[0]!))!)
        expect(store.kind).toBe('redis')
      },
      plant: async (content) => void (await client.set(await record(), content)),
    }
  })

  /** Every command that goes to Redis, by its name. */
  const counted = (prefix: string) => {
    const commands: string[] = []
    const client = {
      sendCommand: (args: string[]) => {
        commands.push(args[0]!)
        return names.client.sendCommand(args)
      },
    }
    return { commands, store: createRedisStore({ client, keys: FIRST, prefix }) }
  }

  test('the number of commands does not depend on the number of records, and none walks over all names', async () => {
    const prefix = names.newPrefix()
    const { commands, store } = counted(prefix)
    const run = async (work: Promise<unknown>): Promise<string[]> => {
      commands.length = 0
      await work
      return [...commands]
    }
    const key = tokens('somebody')
    const all = async () => [
      await run(store.write(key, recordOf(key))),
      await run(store.read(key)),
      await run(store.list({ kind: 'tokens', serverDomain: 'mcp.example.com', account: 'somebody' })),
      await run(store.list({ kind: 'tokens', account: 'somebody' })),
      await run(store.lock(key).then((lease) => lease.release())),
      await run(store.delete(key)),
    ]
    await all()
    const few = await all()
    expect(few).toEqual([
      ['EVALSHA'],
      ['GET'],
      ['ZRANGE', 'MGET'],
      ['ZRANGE', 'MGET'],
      ['SET', 'EVALSHA'],
      ['EVALSHA'],
    ])
    for (let from = 0; from < 3000; from += 500) {
      await Promise.all(
        Array.from({ length: 500 }, (_, number) => {
          const other = tokens(`account ${from + number}`)
          return store.write(other, recordOf(other))
        }),
      )
    }
    expect(await all()).toEqual(few)
  })

  test('a server that was restarted and forgot its scripts is given them again', async () => {
    const store = names.newStore(names.newPrefix())
    const key = tokens()
    await store.write(key, recordOf(key))
    await names.client.scriptFlush()
    await store.write(key, recordOf(key, 'after'))
    expect((await store.read(key))?.record.access_token).toBe('after')
  })

  test('a client that is not connected, or whose server is gone or deaf, is store_failed with a remedy', async () => {
    const quiet = (url: string): RedisClientType => {
      const client = createClient({ url, socket: { connectTimeout: 500 } }) as RedisClientType
      client.on('error', () => {})
      return client
    }
    const closed = createRedisStore({ client: quiet('redis://u:hunter2@127.0.0.1:1'), keys: FIRST })
    expect(await failureOf(closed.read(tokens()))).toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('await client.connect()'),
    })

    const { port } = await deafServer()
    for (const url of ['redis://u:hunter2@127.0.0.1:1', `redis://u:hunter2@127.0.0.1:${port}`]) {
      const client = quiet(url)
      const connecting = client.connect().catch(() => {})
      const store = createRedisStore({ client, keys: FIRST, timeout: 300 })
      expect(await failureOf(store.read(tokens()))).toMatchObject({
        code: 'store_failed',
        location: 'Redis (latchkey:)',
        message: expect.stringMatching(/no answer within 0.3 s.\nCheck that the database runs/),
      })
      client.destroy()
      await connecting
    }
  })

  test('a name of another program below the prefix is said', async () => {
    const prefix = names.newPrefix()
    const store = names.newStore(prefix)
    await names.client.set(`${prefix}tokens-by-domain`, 'something else')
    expect(await failureOf(store.list({ kind: 'tokens' }))).toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('WRONGTYPE'),
    })
  })
})

requires('postgres', await hasPostgres())('postgres', () => {
  let names: Awaited<ReturnType<typeof postgresNames>>
  beforeAll(async () => {
    names = await postgresNames()
  })
  afterAll(() => names.remove())

  sealedTests(async () => {
    const table = names.newTable()
    const { pool } = names
    await names.newStore(table)
    return {
      open: (keys) => createPostgresStore({ pool, keys, table }),
      openLying() {
        const query = firstAnswer((text: string, values?: unknown[]) => pool.query(text, values))
        return createPostgresStore({ pool: { query }, keys: FIRST, table })
      },
      async dump() {
        const { rows } = await pool.query(`SELECT * FROM ${table} ORDER BY id`)
        const locks = await pool.query(`SELECT id FROM ${table}_locks`)
        return JSON.stringify([rows, locks.rows], null, 1)
      },
      async move(_store, one, other) {
        const ids: string[] = []
        const spy = createPostgresStore({
          keys: FIRST,
          table,
          pool: {
            query: (text, values) => {
              ids.push(values?.[0])
              return pool.query(text, values)
            },
          },
        })
        await spy.read(one)
        await spy.read(other)
        await pool.query(
          `UPDATE ${table} SET data = (SELECT data FROM ${table} WHERE id = $1) WHERE id = $2`,
          ids,
        )
      },
      async plant(content) {
        const [revision = '', keyId = '', data = ''] = content.split(' ')
        await pool.query(`UPDATE ${table} SET revision = $1, key_id = $2, data = $3`, [revision, keyId, data])
      },
    }
  })

  test('every statement finds its rows by an index, and their number does not depend on the number of records', async () => {
    const table = names.newTable()
    await names.newStore(table)
    const statements: { text: string; values: unknown[] }[] = []
    const pool = {
      query: (text: string, values: unknown[] = []) => {
        statements.push({ text, values })
        return names.pool.query(text, values)
      },
    }
    const store = createPostgresStore({ pool, keys: FIRST, table })
    const key = tokens('somebody')
    const run = async (work: Promise<unknown>) => {
      statements.length = 0
      await work
      return [...statements]
    }
    const all = async () => {
      const { revision } = await store.write(key, recordOf(key))
      return [
        await run(store.write(key, recordOf(key), { ifRevision: revision })),
        await run(store.read(key)),
        await run(store.list({ kind: 'tokens', serverDomain: 'mcp.example.com', account: 'somebody' })),
        await run(store.list({ kind: 'tokens', account: 'somebody' })),
        await run(store.lock(key).then((lease) => lease.release())),
        await run(store.delete(key)),
      ]
    }
    const few = await all()
    expect(few.map((sent) => sent.length)).toEqual([1, 1, 1, 1, 2, 1])
    await names.pool.query(
      `INSERT INTO ${table} SELECT 'id ' || n, 'tokens', 'domain ' || n % 10, 'account ' || n, 'r', 'k1', 'x' FROM generate_series(1, 20000) n`,
    )
    await names.pool.query(
      `INSERT INTO ${table}_locks SELECT 'id ' || n, 't', clock_timestamp() FROM generate_series(1, 20000) n`,
    )
    await names.pool.query(`ANALYZE ${table}`)
    await names.pool.query(`ANALYZE ${table}_locks`)
    const many = await all()
    expect(many.map((sent) => sent.length)).toEqual(few.map((sent) => sent.length))
    for (const { text, values } of many.flat()) {
      const { rows } = await names.pool.query(`EXPLAIN (FORMAT JSON) ${text}`, values)
      expect(JSON.stringify(rows), text).not.toContain('Seq Scan')
    }
  })

  test('createTable: again and again, at once from many', async () => {
    const table = names.newTable()
    const stores = Array.from({ length: 8 }, () =>
      createPostgresStore({ pool: names.pool, keys: FIRST, table }),
    )
    await Promise.all(stores.map((store) => store.createTable()))
    await stores[0]!.write(tokens(), recordOf(tokens()))
    await stores[0]!.createTable()
    expect(await stores[0]!.read(tokens())).toBeDefined()
  })

  test('without its table the remedy is createTable', async () => {
    const store = createPostgresStore({ pool: names.pool, keys: FIRST, table: names.newTable() })
    const works = [
      () => store.read(tokens()),
      () => store.list({ kind: 'tokens' }),
      () => store.lock(tokens()),
    ]
    for (const work of works) {
      expect(await failureOf(work())).toMatchObject({
        code: 'store_failed',
        message: expect.stringMatching(/\(42P01\).*createTable/s),
      })
    }
  })

  test('a server that is gone, deaf, or refuses is store_failed with a remedy', async () => {
    const { port } = await deafServer()
    const cases: [string, RegExp][] = [
      ['postgres://u:hunter2@127.0.0.1:1/test', /\(ECONNREFUSED\).\nCheck that PostgreSQL runs/],
      [`postgres://u:hunter2@127.0.0.1:${port}/test`, /no answer within 0.5 s/],
      ['postgres://u:hunter2@127.0.0.1:70000/test', /could not be read/],
    ]
    for (const [connectionString, message] of cases) {
      const pool = new Pool({ connectionString, connectionTimeoutMillis: 2000 })
      const store = createPostgresStore({ pool, keys: FIRST, timeout: 500 })
      expect(await failureOf(store.read(tokens()))).toMatchObject({
        code: 'store_failed',
        location: 'PostgreSQL (latchkey_credentials)',
        message: expect.stringMatching(message),
      })
      void pool.end()
    }
  })

  test.each(['"; DROP TABLE x; --', 'a.b.c', 'Upper', '', 'a b', 'x'.repeat(60)])(
    'a table named %j is refused before anything is sent',
    (table) => {
      expect(() => createPostgresStore({ pool: names.pool, keys: FIRST, table })).toThrow(
        expect.objectContaining({ code: 'config_invalid', key: 'table' }),
      )
    },
  )
})

describe('options', () => {
  const client = { sendCommand: async () => null }
  test('keys that are none are refused when the store is made', () => {
    expect(() => createRedisStore({ client, keys: { current: 'k1', keys: {} } })).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    )
  })
})
