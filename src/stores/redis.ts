/** `latchkey/redis`: credentials in Redis, for fleets. docs/stores.md says how to run it. */
import { assertKey, assertRecord, plainRecord } from '../credential-key.ts'
import { StoreConflictError, StoreFailedError } from '../errors/index.ts'
import type { CredentialKey, CredentialStore, StoredRecord } from '../ports.ts'
import { createLeaseLocks, LEASE } from './lease-lock.ts'
import { asStoreFailure, type Diagnosis, type Medium, networkCode } from './medium-failure.ts'
import { createRecordCipher, keyMissing, type StoreKeys } from './record-cipher.ts'
import { DELETE, EXTEND, FREE, type RedisScript, WRITE } from './redis-scripts.ts'
import {
  accountDigest,
  domainDigest,
  type Filter,
  newRevision,
  openRow,
  passes,
  rowId,
  rowPlace,
  type SealedRow,
  sealRow,
} from './sealed-row.ts'

export type { StoreKeys } from './record-cipher.ts'

/**
 * What is needed of a client: the one of `redis` 5 and later has it. For ioredis:
 * `{ sendCommand: ([command, ...args]) => ioredis.call(command, ...args) }`.
 */
export interface RedisCommands {
  sendCommand(args: string[], options?: { abortSignal?: AbortSignal }): Promise<unknown>
}

export interface RedisStoreOptions {
  /** Connected, and closed by whoever made it. */
  readonly client: RedisCommands
  readonly keys: StoreKeys
  /** What all names in Redis begin with. In a cluster it needs a hash tag, as in `{latchkey}:`. @default 'latchkey:' */
  readonly prefix?: string
  /** Milliseconds until an answer is no longer waited for. @default 5000 */
  readonly timeout?: number
}

/** Members of an index, and records, that are asked for at once. */
const PAGE = 500

/**
 * Keeps credentials in Redis 6.2 or later, sealed with the given keys. Every method is one command, but for `list`.
 *
 * @throws `config_invalid` for keys that are none; the methods: `store_failed`, `store_conflict`
 */
export function createRedisStore(options: RedisStoreOptions): CredentialStore {
  const { client, keys, prefix = 'latchkey:', timeout = 5000 } = options
  const cipher = createRecordCipher(keys)
  const known = ` ${cipher.keyIds.join(' ')} `
  const location = `Redis (${prefix})`
  const medium: Medium = { location, diagnose, patience: timeout }

  const send = (act: string, ...args: string[]): Promise<unknown> =>
    asStoreFailure(medium, act, (abortSignal) => client.sendCommand(args, { abortSignal }))

  const run = async (act: string, script: RedisScript, names: string[], args: string[]): Promise<unknown> => {
    script.sha ??= sha1(script.text)
    const rest = [String(names.length), ...names, ...args]
    const sha = await script.sha
    return asStoreFailure(medium, act, async (abortSignal) => {
      try {
        return await client.sendCommand(['EVALSHA', sha, ...rest], { abortSignal })
      } catch (error) {
        // A server that has not seen it yet, or was restarted.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
        return client.sendCommand(['EVAL', script.text, ...rest], { abortSignal })
      }
    })
  }

  const recordName = (id: string): string => `${prefix}record:${id}`
  const indexName = (kind: CredentialKey['kind'], by: 'domain' | 'account'): string =>
    `${prefix}${kind}-by-${by}`
  const rowNames = ({ kind }: CredentialKey, id: string): string[] => [
    recordName(id),
    indexName(kind, 'domain'),
    indexName(kind, 'account'),
  ]

  /** Throws what the guard of a script found. */
  const assertDone = (outcome: unknown): void => {
    const [word, keyId] = (Array.isArray(outcome) ? outcome : []).map(String)
    if (word === 'done') return
    if (word === 'conflict') throw changedMeanwhile(location)
    if (word === 'sealed') throw keyMissing(keyId ?? '', location)
    throw foreign(location)
  }

  const locks = createLeaseLocks({
    take: async (id, token) =>
      (await send('locked', 'SET', `${prefix}lock:${id}`, token, 'NX', 'PX', String(LEASE))) !== null,
    extend: async (id, token) =>
      Number(await run('locked', EXTEND, [`${prefix}lock:${id}`], [token, String(LEASE)])) === 1,
    free: async (id, token) => {
      await run('unlocked', FREE, [`${prefix}lock:${id}`], [token])
    },
  })

  const page = async (name: string, from: string, to: string): Promise<string[]> => {
    const members = await send('listed', 'ZRANGE', name, from, to, 'BYLEX', 'LIMIT', '0', String(PAGE))
    return (members as unknown[]).map(String)
  }

  return {
    kind: 'redis',

    async read(key) {
      const id = await rowId(key)
      const row = decodeRow(id, await send('read', 'GET', recordName(id)), location)
      return row && { ...(await openRow(cipher, key.kind, row, location)), key }
    },

    async write(key, record, { ifRevision } = {}) {
      assertRecord(key, record)
      const id = await rowId(key)
      const plain = plainRecord(record)
      const [sealed, members] = await Promise.all([sealRow(cipher, id, key, plain), indexMembers(key, id)])
      const revision = newRevision()
      const value = `${revision} ${sealed.keyId} ${sealed.data}`
      const args = [known, ...expectation(ifRevision), ...members, value]
      assertDone(await run('written', WRITE, rowNames(key, id), args))
      return { key, record: plain, revision }
    },

    async delete(key, { ifRevision } = {}) {
      const id = await rowId(key)
      const args = [known, ...expectation(ifRevision), ...(await indexMembers(key, id))]
      assertDone(await run('changed', DELETE, rowNames(key, id), args))
    },

    async list(filter) {
      const { by, begin } = await searched(filter)
      const stored: StoredRecord[] = []
      let from = begin === '' ? '-' : `[${begin}:`
      // `;` is the character after `:`.
      const to = begin === '' ? '+' : `(${begin};`
      for (;;) {
        const members = await page(indexName(filter.kind, by), from, to)
        if (members.length === 0) return stored
        const ids = members.map((member) => member.slice(member.lastIndexOf(':') + 1))
        const values = (await send('listed', 'MGET', ...ids.map(recordName))) as unknown[]
        const rows = ids.map((id, index) => decodeRow(id, values[index], location))
        const present = rows.filter((row) => row !== undefined)
        const opened = await Promise.all(present.map((row) => openRow(cipher, filter.kind, row, location)))
        for (const one of opened) if (passes(filter, one)) stored.push(one)
        if (members.length < PAGE) return stored
        from = `(${members.at(-1)}`
      }
    },

    async lock(key, { signal } = {}) {
      assertKey(key)
      return locks.acquire(await rowId(key), { signal })
    },

    async prepare() {
      // Writes, and nothing that stays: a replica, a full server or a missing right says so now.
      await send('written', 'SET', `${prefix}prepare`, '', 'PX', '1')
    },

    locate: () => location,
  }
}

function expectation(ifRevision: string | null | undefined): [string, string] {
  if (ifRevision === undefined) return ['any', '']
  return ifRevision === null ? ['none', ''] : ['same', ifRevision]
}

async function indexMembers(key: CredentialKey, id: string): Promise<[string, string]> {
  const { domain, account } = await rowPlace(key)
  return [`${domain}:${account}:${id}`, `${account}:${id}`]
}

/** Which index a listing reads, and what the members it wants begin with. */
async function searched({
  serverDomain,
  account,
}: Filter): Promise<{ by: 'domain' | 'account'; begin: string }> {
  if (serverDomain === undefined) {
    return account === undefined
      ? { by: 'domain', begin: '' }
      : { by: 'account', begin: await accountDigest(account) }
  }
  const domain = await domainDigest(serverDomain)
  const begin = account === undefined ? domain : `${domain}:${await accountDigest(account)}`
  return { by: 'domain', begin }
}

function decodeRow(id: string, value: unknown, location: string): SealedRow | undefined {
  if (value === null || value === undefined) return undefined
  const [, revision, keyId, data] = /^(\S+) (\S+) (\S+)$/.exec(String(value)) ?? []
  if (revision === undefined || keyId === undefined || data === undefined) throw foreign(location)
  return { id, revision, keyId, data }
}

async function sha1(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-1', new TextEncoder().encode(text)))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function changedMeanwhile(location: string): StoreConflictError {
  return new StoreConflictError({ location, message: `The record in ${location} changed in the meantime.` })
}

function foreign(location: string): StoreFailedError {
  return new StoreFailedError({
    location,
    message: `${location} holds something else where a record should be. It was left as it is.`,
    remedy: 'Choose another `prefix` for this store.',
  })
}

const REMEDIES: Readonly<Record<string, string>> = {
  NOAUTH: 'Give the client the password of Redis.',
  WRONGPASS: 'Check user name and password of the client.',
  NOPERM:
    'Allow this user GET, MGET, SET, ZRANGE, EVAL, EVALSHA, DEL, EXISTS, PEXPIRE, ZADD and ZREM on the names with this prefix.',
  READONLY: 'The client is connected to a replica: connect it to the primary.',
  OOM: 'Redis is full: give it more memory. What was stored before is unchanged.',
  LOADING: 'Redis is starting: try again in a moment.',
  CROSSSLOT: 'In a cluster `prefix` needs a hash tag: `{latchkey}:`.',
  MOVED: 'Pass a client that was made for a cluster.',
  WRONGTYPE: 'Something else has names with this prefix: choose another `prefix`.',
  ClientClosedError: 'Connect the client before it is used: `await client.connect()`.',
}

function diagnose(error: unknown): Diagnosis {
  const network = networkCode(error)
  if (network) return { code: network, remedy: 'Check that Redis runs and can be reached.' }
  const { name = '', message = '' } = error instanceof Error ? error : {}
  // Inside a script a right that is missing has no word of its own.
  const isRight = message.includes('user executing the script')
  const [word = ''] = isRight ? ['NOPERM'] : (/^[A-Z]{2,}/.exec(message) ?? [])
  const code = Object.hasOwn(REMEDIES, word)
    ? word
    : error instanceof Error
      ? error.constructor.name || name
      : 'unknown'
  return { code, remedy: REMEDIES[code] ?? 'Check that Redis runs and that its version is 6.2 or later.' }
}
