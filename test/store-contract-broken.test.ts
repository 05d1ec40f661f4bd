import { describe, expect, test } from 'vitest'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import type { CredentialKey, CredentialStore, Lease, StoredRecord } from '../src/ports.ts'
import { ContractViolation, storeContract } from '../src/stores/store-contract.ts'

/** A store that is right but for one thing. `records` is what it holds, by reference. */
type Breakage = (right: CredentialStore) => Partial<CredentialStore>

/** How a store can be wrong, and the case that has to say so. */
const BROKEN: Record<string, { readonly caughtBy: string; readonly breakage: Breakage }> = {
  'compare-and-swap that does not compare': {
    caughtBy: 'write with a revision replaces that revision only',
    breakage: (right) => ({ write: (key, record) => right.write(key, record) }),
  },
  'compare-and-swap that looks first and writes later': {
    caughtBy: 'of many writers that saw the same revision one wins',
    breakage: (right) => ({
      async write(key, record, { ifRevision } = {}) {
        const found = await right.read(key)
        await new Promise((resolve) => setTimeout(resolve, 5))
        if (ifRevision !== undefined && (found?.revision ?? null) !== ifRevision) {
          return right.write(key, record, { ifRevision })
        }
        return right.write(key, record)
      },
    }),
  },
  'records that are shared with the caller': {
    caughtBy: 'records go in and come out as copies',
    breakage: (right) => {
      const shared = new Map<string, StoredRecord>()
      return {
        async read(key) {
          const stored = await right.read(key)
          const known = stored && shared.get(stored.revision)
          if (stored && !known) shared.set(stored.revision, stored)
          return known ?? stored
        },
      }
    },
  },
  'a lock that lets everybody in': {
    caughtBy: 'lock: one at a time for a key',
    breakage: () => ({ lock: async () => freeLease() }),
  },
  'a list that takes no notice of the account': {
    caughtBy: 'list by account',
    breakage: (right) => ({ list: ({ account: _, ...filter }) => right.list(filter) }),
  },
  'a list that takes no notice of the domain': {
    caughtBy: 'list by domain',
    breakage: (right) => ({ list: ({ serverDomain: _, ...filter }) => right.list(filter) }),
  },
  'a list that stops after a page': {
    caughtBy: 'a list of more than a thousand records is whole',
    breakage: (right) => ({ list: async (filter) => (await right.list(filter)).slice(0, 1000) }),
  },
  'a revision that depends on the content': {
    caughtBy: 'every write has a new revision',
    breakage: (right) => {
      const same = <T extends StoredRecord | undefined>(stored: T): T =>
        stored && { ...stored, revision: '1' }
      return {
        read: async (key) => same(await right.read(key)),
        write: async (key, record) => same(await right.write(key, record)),
      }
    },
  },
  'a delete that takes no notice of the revision': {
    caughtBy: 'delete with a revision deletes that revision only',
    breakage: (right) => ({ delete: (key) => right.delete(key) }),
  },
  'a delete that fails for what is absent': {
    caughtBy: 'what is deleted is gone, and deleting what is absent is fine',
    breakage: (right) => ({
      async delete(key, options) {
        if (!(await right.read(key))) throw new Error('not there')
        return right.delete(key, options)
      },
    }),
  },
  'the unnamed account taken for one named null': {
    caughtBy: 'another account named null is another record',
    breakage: (right) => renamed(right, (key) => ({ ...key, account: key.account ?? 'null' })),
  },
  'accounts compared without case': {
    caughtBy: 'hostile names are plain names in an account',
    breakage: (right) => renamed(right, (key) => ({ ...key, account: key.account?.toLowerCase() ?? null })),
  },
  'a client compared without its URL': {
    caughtBy: 'another URL is another record',
    breakage: (right) =>
      renamed(right, (key) => ({
        ...key,
        identity: 'server_url' in key.identity ? { ...key.identity, server_url: 'any' } : key.identity,
      })),
  },
  'a lease that is held for ever': {
    caughtBy: 'lock: held until it is released, and not after',
    breakage: (right) => ({
      async lock(key, options) {
        const lease = await right.lock(key, options)
        return { ...lease, isHeld: async () => true }
      },
    }),
  },
  'a release that ends somebody else’s lock': {
    caughtBy: 'lock: releasing twice is releasing once',
    breakage: () => sloppyLocks(),
  },
  'waiting that takes no notice of the signal': {
    caughtBy: 'lock: waiting ends with the reason of the signal',
    breakage: (right) => ({ lock: (key) => right.lock(key) }),
  },
  'who gave up gets the lock all the same': {
    caughtBy: 'lock: who gave up waiting does not hold it later',
    breakage: (right) => ({
      lock: (key, { signal } = {}) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          if (signal?.aborted) reject(signal.reason)
          else right.lock(key).then(resolve, reject)
        }),
    }),
  },
  'one lock for all keys': {
    caughtBy: 'lock: other keys do not wait',
    breakage: (right) => {
      const one: CredentialKey = {
        kind: 'tokens',
        serverDomain: 'x',
        account: null,
        identity: { server_url: 'x', configured_client_id: null },
      }
      return { lock: (_, options) => right.lock(one, options) }
    },
  },
  'records cut at 64 KB': {
    caughtBy: 'a big record is a record',
    breakage: (right) => ({
      write: (key, record, options) =>
        JSON.stringify(record).length > 65_536
          ? right.write(
              key,
              { ...record, access_token: String(record.access_token).slice(0, 65_536) },
              options,
            )
          : right.write(key, record, options),
    }),
  },
  'keys that are not checked': {
    caughtBy: 'a key without its whole identity is a TypeError',
    breakage: (right) => ({ read: async (key) => right.read(key).catch(() => undefined) }),
  },
}

function freeLease(): Lease {
  let isHeld = true
  return {
    isHeld: async () => isHeld,
    release: async () => {
      isHeld = false
    },
  }
}

/** A store that puts records under other keys than it was given, and says nothing of it. */
function renamed(
  right: CredentialStore,
  other: (key: CredentialKey) => CredentialKey,
): Partial<CredentialStore> {
  const stored = new Map<string, StoredRecord>()
  return {
    read: async (key) => {
      const found = stored.get(JSON.stringify(other(key)))
      return found && structuredClone({ ...found, key })
    },
    write: async (key, record, options) => {
      const written = await right.write(key, record, options)
      stored.set(JSON.stringify(other(key)), structuredClone(written))
      return written
    },
    delete: async (key, options) => {
      await right.delete(key, options)
      stored.delete(JSON.stringify(other(key)))
    },
  }
}

/** Locks that forget who holds them: a release ends whatever lock there is. */
function sloppyLocks(): Partial<CredentialStore> {
  const held = new Set<string>()
  return {
    async lock(key, { signal } = {}) {
      const name = JSON.stringify(key)
      while (held.has(name)) {
        signal?.throwIfAborted()
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      signal?.throwIfAborted()
      held.add(name)
      return { isHeld: async () => held.has(name), release: async () => void held.delete(name) }
    },
  }
}

async function failures(create: () => CredentialStore): Promise<Map<string, unknown>> {
  const failed = new Map<string, unknown>()
  await Promise.all(
    storeContract({ create }).map(({ name, run }) => run().catch((error) => failed.set(name, error))),
  )
  return failed
}

test('the store that the broken ones are made of passes', async () => {
  expect([...(await failures(createMemoryStore)).keys()]).toEqual([])
})

describe.concurrent('the contract catches', () => {
  for (const [what, { caughtBy, breakage }] of Object.entries(BROKEN)) {
    test(what, { timeout: 60_000 }, async ({ expect }) => {
      const failed = await failures(() => {
        const right = createMemoryStore()
        return { ...right, ...breakage(right) }
      })
      expect([...failed.keys()]).toContain(caughtBy)
      expect(failed.get(caughtBy)).toBeInstanceOf(Error)
      // A store that breaks in one way does not fail everywhere: the names say what is wrong.
      expect(failed.size).toBeLessThan(storeContract({ create: createMemoryStore }).length / 2)
    })
  }
})

test('a violation says what was expected and what was got', async () => {
  const failed = await failures(() => {
    const right = createMemoryStore()
    return { ...right, list: () => right.list({ kind: 'tokens' }) }
  })
  expect(failed.get('list by account')).toBeInstanceOf(ContractViolation)
  expect(String(failed.get('list by account'))).toMatch(
    /listed records: expected \["jane"\], got \["client","jane","joe"/,
  )
})
