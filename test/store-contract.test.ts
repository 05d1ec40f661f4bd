import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import { createKeychainFileStore } from '../src/keychain-store.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { recordLock } from '../src/node/store-folder-layout.ts'
import type { CredentialKey, CredentialStore } from '../src/ports.ts'
import type { OpenKeychain } from '../src/stores/keychain-port.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { type StoreUnderTest, storeContract } from '../src/stores/store-contract.ts'
import {
  connectPostgres,
  connectRedis,
  hasPostgres,
  hasRedis,
  KEYS,
  postgresNames,
  redisNames,
} from './fixtures/databases.ts'
import { requires } from './requires.ts'
import { temporaryFolder } from './store-program.ts'

function contract(store: StoreUnderTest): void {
  for (const { name, run } of storeContract(store)) test(name, { timeout: 40_000 }, run)
}

/** Remembers what a store was made of, to make another one of the same. */
function remembered<T>() {
  const made = new WeakMap<CredentialStore, T>()
  return {
    add: <S extends CredentialStore>(store: S, parts: T): S => {
      made.set(store, parts)
      return store
    },
    of: (store: CredentialStore): T => made.get(store)!,
  }
}

describe('memory', () => contract({ create: createMemoryStore }))

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())
let homes = 0
const newHome = (): string => `${folder.path}/${homes++}`

/** What a process that was killed leaves behind: the first generation, held. */
async function leaveFileLock(home: string, key: CredentialKey): Promise<void> {
  const path = `${recordLock(home, key)}.1`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(path, '', { mode: 0o600 })
}

describe('file', () => {
  const made = remembered<string>()
  const open = (home: string) => made.add(createFileStore({ home, emit: () => {} }), home)
  contract({
    create: () => open(newHome()),
    connect: (store) => open(made.of(store)),
    abandon: (store, key) => leaveFileLock(made.of(store), key),
  })
})

describe('keychain: the file store with sealed records', () => {
  /** One that forgets nothing and asks nobody; the real one is in test/keychain.test.ts. */
  const entries = new Map<string, string>()
  const openKeychain: OpenKeychain = () => ({
    read: async (name) => entries.get(name),
    write: async (name, text) => void entries.set(name, text),
    delete: async (name) => void entries.delete(name),
    close: () => {},
  })
  const made = remembered<string>()
  const open = (home: string) =>
    made.add(createKeychainFileStore({ home, emit: () => {}, mode: 'keychain', openKeychain }), home)
  contract({
    create: () => open(newHome()),
    connect: (store) => open(made.of(store)),
    abandon: (store, key) => leaveFileLock(made.of(store), key),
  })
})

requires('redis', await hasRedis())('redis', () => {
  let names: Awaited<ReturnType<typeof redisNames>>
  beforeAll(async () => {
    names = await redisNames()
  })
  afterAll(() => names.remove())
  const made = remembered<string>()
  const clients: { destroy(): void }[] = []
  afterAll(() => {
    for (const client of clients) client.destroy()
  })
  const connect = async (prefix: string) => {
    const client = await connectRedis()
    clients.push(client)
    return { store: made.add(createRedisStore({ client, keys: KEYS, prefix }), prefix), client }
  }
  contract({
    create: () => {
      const prefix = names.newPrefix()
      return made.add(names.newStore(prefix), prefix)
    },
    connect: async (store) => (await connect(made.of(store))).store,
    abandon: async (store, key) => {
      const { store: dying, client } = await connect(made.of(store))
      await dying.lock(key)
      client.destroy()
    },
  })
})

requires('postgres', await hasPostgres())('postgres', () => {
  let names: Awaited<ReturnType<typeof postgresNames>>
  beforeAll(async () => {
    names = await postgresNames()
  })
  const pools: { end(): Promise<void> }[] = []
  afterAll(async () => {
    for (const pool of pools) await pool.end()
    await names.remove()
  })
  const made = remembered<string>()
  const connect = (table: string) => {
    const pool = connectPostgres()
    return { store: made.add(createPostgresStore({ pool, keys: KEYS, table }), table), pool }
  }
  contract({
    create: async () => {
      const table = names.newTable()
      return made.add(await names.newStore(table), table)
    },
    connect: (store) => {
      const { store: other, pool } = connect(made.of(store))
      pools.push(pool)
      return other
    },
    abandon: async (store, key) => {
      const { store: dying, pool } = connect(made.of(store))
      await dying.lock(key)
      await pool.end()
    },
  })
})
