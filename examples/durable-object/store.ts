// A store of your own, here for Cloudflare Workers: the logins of one Durable Object, in its storage.
import { type CredentialKey, type CredentialStore, createMemoryStore, type StoredRecord } from 'latchkey'

/** What is used of `state.storage`. */
export interface DurableStorage {
  list<Value>(options: { prefix: string }): Promise<Map<string, Value>>
  put(key: string, value: unknown): Promise<void>
  delete(key: string): Promise<boolean>
}

const PREFIX = 'latchkey:'

/**
 * Of one Durable Object there is one at a time, so the turns, revisions and checks of the store in memory are all it needs;
 * the storage keeps the records while it sleeps.
 */
export async function createDurableObjectStore(storage: DurableStorage): Promise<CredentialStore> {
  const memory = createMemoryStore()
  const kept = await storage.list<Pick<StoredRecord, 'key' | 'record'>>({ prefix: PREFIX })
  for (const { key, record } of kept.values()) await memory.write(key, record)
  return {
    ...memory,
    kind: 'durable-object',
    async write(key, record, options) {
      const written = await memory.write(key, record, options)
      await storage.put(nameOf(key), { key, record })
      return written
    },
    async delete(key, options) {
      await memory.delete(key, options)
      await storage.delete(nameOf(key))
    },
    locate: () => 'the storage of this Durable Object',
  }
}

function nameOf({ kind, serverDomain, account, identity }: CredentialKey): string {
  return PREFIX + JSON.stringify([kind, serverDomain, account, Object.entries(identity).sort()])
}
