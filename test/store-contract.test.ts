import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialKey, CredentialStore } from '../src/ports.ts'
import { temporaryFolder } from './store-program.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let stores = 0
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())

const makers: Record<string, () => CredentialStore> = {
  memory: createMemoryStore,
  file: () => createFileStore({ home: `${folder.path}/${stores++}`, emit: () => {} }),
}

function tokens(
  overrides: Partial<CredentialKey> & { url?: string; client?: string | null } = {},
): CredentialKey {
  const { url = 'https://mcp.example.com/mcp', client = null, ...rest } = overrides
  return {
    kind: 'tokens',
    serverDomain: 'mcp.example.com',
    account: null,
    identity: { server_url: url, configured_client_id: client },
    ...rest,
  }
}

function registrations(issuer: string, account: string | null = null): CredentialKey {
  const identity = { issuer, redirect_uri: 'http://localhost:8080/callback' }
  return { kind: 'registrations', serverDomain: 'mcp.example.com', account, identity }
}

const fields = (key: CredentialKey, access_token = 'secret') => ({ ...key.identity, access_token })

describe.each(Object.keys(makers))('%s store', (name) => {
  const newStore = (): CredentialStore => makers[name]!()

  test('what is written is what is read, with a new revision each time', async () => {
    const store = newStore()
    const key = tokens()
    expect(await store.read(key)).toBeUndefined()
    const record = { ...fields(key), scope: null, deep: { list: [1, 'two', { three: false }] } }
    const first = await store.write(key, record)
    expect(first.record).toEqual(record)
    expect(await store.read(key)).toEqual(first)
    const second = await store.write(key, record)
    expect(second.revision).not.toBe(first.revision)
    expect((await store.read(key))?.revision).toBe(second.revision)
  })

  test('a revision that was read back with the record does not become part of it', async () => {
    const store = newStore()
    const key = tokens()
    await store.write(key, { ...fields(key), revision: 'mine' })
    expect((await store.read(key))?.record).toEqual(fields(key))
  })

  test('what comes out is a copy', async () => {
    const store = newStore()
    const key = tokens()
    const given = { ...fields(key), list: ['a'] }
    const written = await store.write(key, given)
    given.list.push('b')
    ;(written.record.list as string[]).push('c')
    ;((await store.read(key))!.record.list as string[]).push('d')
    expect((await store.read(key))?.record.list).toEqual(['a'])
  })

  test.each<[string, CredentialKey]>([
    ['URL', tokens({ url: 'https://mcp.example.com/other' })],
    ['URL but for a slash', tokens({ url: 'https://mcp.example.com/mcp/' })],
    ['configured client', tokens({ client: 'client-1' })],
    ['client named null', tokens({ client: 'null' })],
    ['account', tokens({ account: 'jane' })],
    ['empty account', tokens({ account: '' })],
    ['account named null', tokens({ account: 'null' })],
    ['domain', tokens({ serverDomain: 'mcp.example.com_8443' })],
    ['kind', registrations('https://mcp.example.com/mcp')],
  ])('another %s is another record', async (_, other) => {
    const store = newStore()
    const key = tokens()
    await store.write(key, fields(key, 'of one'))
    expect(await store.read(other)).toBeUndefined()
    await store.write(other, fields(other, 'of the other'))
    expect((await store.read(key))?.record.access_token).toBe('of one')
    await store.delete(other)
    expect((await store.read(key))?.record.access_token).toBe('of one')
    expect(await store.read(other)).toBeUndefined()
  })

  test('compare-and-swap: only the revision that was read may be replaced', async () => {
    const store = newStore()
    const key = tokens()
    const conflict = { code: 'store_conflict' }
    await expect(store.write(key, fields(key), { ifRevision: 'none' })).rejects.toMatchObject(conflict)
    const first = await store.write(key, fields(key, 'first'), { ifRevision: null })
    await expect(store.write(key, fields(key), { ifRevision: null })).rejects.toMatchObject(conflict)
    const second = await store.write(key, fields(key, 'second'), { ifRevision: first.revision })
    await expect(store.write(key, fields(key), { ifRevision: first.revision })).rejects.toMatchObject(
      conflict,
    )
    await expect(store.delete(key, { ifRevision: first.revision })).rejects.toMatchObject(conflict)
    expect(await store.read(key)).toEqual(second)
    await store.delete(key, { ifRevision: second.revision })
    expect(await store.read(key)).toBeUndefined()
    await store.delete(key, { ifRevision: second.revision })
  })

  test('of many writers that saw the same revision one wins', async () => {
    const store = newStore()
    const key = tokens()
    const { revision } = await store.write(key, fields(key))
    const writes = Array.from({ length: 8 }, (_, n) =>
      store.write(key, fields(key, `writer ${n}`), { ifRevision: revision }),
    )
    const results = await Promise.allSettled(writes)
    const winners = results.filter((result) => result.status === 'fulfilled')
    expect(winners).toHaveLength(1)
    expect((await store.read(key))?.revision).toBe(winners[0]?.value.revision)
  })

  test('list: by kind, narrowed by domain and account, each with the key that finds it', async () => {
    const store = newStore()
    const keys = [
      tokens(),
      tokens({ client: 'client-1' }),
      tokens({ account: 'jane' }),
      tokens({ account: 'joe', serverDomain: 'other.example.com' }),
      tokens({ serverDomain: 'other.example.com' }),
      registrations('https://as.example.com'),
      registrations('https://as.example.com', 'jane'),
    ]
    for (const key of keys) await store.write(key, fields(key))
    const found = async (filter: Parameters<CredentialStore['list']>[0]): Promise<Set<CredentialKey>> => {
      const stored = await store.list(filter)
      for (const one of stored) expect(await store.read(one.key)).toEqual(one)
      return new Set(stored.map(({ key }) => key))
    }
    const [plain, client, jane, joe, other, registration, janes] = keys
    expect(await found({ kind: 'tokens' })).toEqual(new Set([plain, client, jane, joe, other]))
    expect(await found({ kind: 'registrations' })).toEqual(new Set([registration, janes]))
    expect(await found({ kind: 'tokens', account: null })).toEqual(new Set([plain, client, other]))
    expect(await found({ kind: 'tokens', account: 'jane' })).toEqual(new Set([jane]))
    expect(await found({ kind: 'tokens', serverDomain: 'other.example.com' })).toEqual(new Set([joe, other]))
    const both = { kind: 'tokens', serverDomain: 'mcp.example.com', account: null } as const
    expect(await found(both)).toEqual(new Set([plain, client]))
    expect(await found({ kind: 'tokens', serverDomain: 'absent.example.com' })).toEqual(new Set())
  })

  test('lock: one at a time for a key, and nobody else waits', async () => {
    const store = newStore()
    const lease = await store.lock(tokens())
    expect(await lease.isHeld()).toBe(true)
    await (await store.lock(tokens({ client: 'client-1' }))).release()
    await (await store.lock(tokens({ account: 'jane' }))).release()
    let isSecondIn = false
    const second = store.lock(tokens()).then((other) => {
      isSecondIn = true
      return other
    })
    // Reading and writing need no lock: it is between those who agree on it.
    await store.write(tokens(), fields(tokens()))
    expect(isSecondIn).toBe(false)
    await lease.release()
    await lease.release()
    expect(await lease.isHeld()).toBe(false)
    expect(await (await second).isHeld()).toBe(true)
    await (await second).release()
  })

  test('lock: waiting ends with the reason of the signal, and the lock stays usable', async () => {
    const store = newStore()
    const lease = await store.lock(tokens())
    const controller = new AbortController()
    const waiting = store.lock(tokens(), { signal: controller.signal })
    controller.abort(new Error('cancelled by the person'))
    await expect(waiting).rejects.toThrow('cancelled by the person')
    await lease.release()
    await (await store.lock(tokens())).release()
  })

  test('a record that its key would not find again, or half an identity, is a mistake of the program', async () => {
    const store = newStore()
    const key = tokens()
    await expect(store.write(key, { access_token: 'x' })).rejects.toThrow(TypeError)
    await expect(store.write(key, { ...fields(key), account: 'jane' })).rejects.toThrow(TypeError)
    const half = { ...key, identity: { server_url: 'https://mcp.example.com/mcp' } }
    await expect(store.read(half)).rejects.toThrow(TypeError)
    await expect(store.lock({ ...key, identity: { ...key.identity, more: 'x' } })).rejects.toThrow(TypeError)
  })

  test('names of the language are plain names in an account', async () => {
    const store = newStore()
    for (const account of ['__proto__', 'constructor', '../../x', 'a/b', 'nul', 'A', 'a', '\u0000', '💥']) {
      const key = tokens({ account })
      await store.write(key, fields(key, `of ${account}`))
    }
    const accounts = await store.list({ kind: 'tokens' })
    expect(accounts).toHaveLength(9)
    expect(accounts.every(({ key, record }) => record.access_token === `of ${key.account}`)).toBe(true)
  })
})
