import { assertKey, assertRecord, canonicalKey, plainRecord } from '../credential-key.ts'
import { StoreConflictError } from '../errors/index.ts'
import type { CredentialStore, StoredRecord } from '../ports.ts'
import { createTurnQueue } from '../turn-queue.ts'

let stores = 0

/**
 * A store that forgets everything when the process ends; for tests, for one-off programs, and where there is no disk.
 * Each call makes a store of its own. Records go in and come out as copies.
 */
export function createMemoryStore(): CredentialStore {
  const records = new Map<string, StoredRecord>()
  const takeTurn = createTurnQueue()
  let writes = 0
  stores += 1
  // Each is another place: two of them must not be taken for one.
  const location = `memory of this process (store ${stores})`

  const assertRevision = (name: string, expected: string | null | undefined): void => {
    if (expected !== undefined && (records.get(name)?.revision ?? null) !== expected) {
      throw new StoreConflictError({
        message: 'The stored record changed in the meantime.',
        location,
      })
    }
  }

  return {
    kind: 'memory',

    async read(key) {
      assertKey(key)
      const stored = records.get(canonicalKey(key))
      return stored && copy(stored)
    },

    async write(key, record, options = {}) {
      assertRecord(key, record)
      const name = canonicalKey(key)
      assertRevision(name, options.ifRevision)
      writes += 1
      const stored = copy({ key, record, revision: String(writes) })
      records.set(name, stored)
      return copy(stored)
    },

    async delete(key, options = {}) {
      assertKey(key)
      const name = canonicalKey(key)
      if (records.has(name)) assertRevision(name, options.ifRevision)
      records.delete(name)
    },

    async list({ kind, serverDomain, account }) {
      return [...records.values()]
        .filter(
          ({ key }) =>
            key.kind === kind &&
            (serverDomain === undefined || key.serverDomain === serverDomain) &&
            (account === undefined || key.account === account),
        )
        .map(copy)
    },

    async lock(key, options = {}) {
      assertKey(key)
      const endTurn = await takeTurn(canonicalKey(key), options.signal)
      let held = true
      return {
        isHeld: async () => held,
        release: async () => {
          held = false
          endTurn()
        },
      }
    },

    locate: () => location,
  }
}

function copy({ key, record, revision }: StoredRecord): StoredRecord {
  return { key: { ...key, identity: { ...key.identity } }, record: plainRecord(record), revision }
}
