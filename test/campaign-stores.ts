import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialStore } from '../src/ports.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import type { StoreKeys } from '../src/stores/record-cipher.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { connectPostgres, connectRedis } from './fixtures/databases.ts'

/** A store by its name and place, so that many processes can be told to use the same one. */
export interface StoreAddress {
  kind: 'file' | 'redis' | 'postgres'
  /** The home of a file store, the prefix in Redis, the table in PostgreSQL. */
  at: string
  /** Of the stores that seal their records, in base64. */
  key?: string
}

export interface CampaignStore {
  readonly store: CredentialStore
  close(): Promise<void>
}

/** The store at an address, on a connection of this process. */
export async function openCampaignStore({ kind, at, key = '' }: StoreAddress): Promise<CampaignStore> {
  const keys: StoreKeys = { current: 'k1', keys: { k1: Buffer.from(key, 'base64') } }
  switch (kind) {
    case 'file':
      return { store: createFileStore({ home: at, emit: () => {} }), close: async () => {} }
    case 'redis': {
      const client = await connectRedis()
      return {
        store: createRedisStore({ client, keys, prefix: at }),
        close: async () => client.destroy(),
      }
    }
    case 'postgres': {
      const pool = connectPostgres()
      return { store: createPostgresStore({ pool, keys, table: at }), close: () => pool.end() }
    }
  }
}
