/** `latchkey/postgres`: credentials in PostgreSQL, for fleets. docs/stores.md says how to run it. */
import { assertKey, assertRecord, plainRecord } from '../credential-key.ts'
import { StoreConflictError } from '../errors/index.ts'
import type { CredentialKey, CredentialStore, StoredRecord } from '../ports.ts'
import { createLeaseLocks, LEASE, type LeaseTable } from './lease-lock.ts'
import { asStoreFailure, type Diagnosis, type Medium, networkCode } from './medium-failure.ts'
import { postgresSchema, type TableNames, tableNames } from './postgres-schema.ts'
import { createRecordCipher, keyMissing, type StoreKeys } from './record-cipher.ts'
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

export { postgresSchema } from './postgres-schema.ts'
export type { StoreKeys } from './record-cipher.ts'

/** What is needed of a pool: `Pool` of `pg` has it, and so has a `Client`. */
export interface PostgresPool {
  // biome-ignore lint/suspicious/noExplicitAny: the rows of every driver
  query(text: string, values?: any[]): Promise<{ rows: any[]; rowCount: number | null }>
}

export interface PostgresStoreOptions {
  /** Ended by whoever made it. Behind a pooler any mode will do: no session state is used. */
  readonly pool: PostgresPool
  readonly keys: StoreKeys
  /** Name of the table, with a schema before it if need be. @default 'latchkey_credentials' */
  readonly table?: string
  /** Milliseconds until an answer is no longer waited for. @default 5000 */
  readonly timeout?: number
}

export interface PostgresStore extends CredentialStore {
  /** Makes the tables and indexes that are not there yet: {@link postgresSchema}. Once per deployment is enough. */
  createTable(): Promise<void>
}

interface Answer {
  readonly rows: Record<string, string>[]
  readonly rowCount: number | null
}

type Query = (act: string, text: string, values?: unknown[]) => Promise<Answer>

/**
 * Keeps credentials in PostgreSQL 12 or later, sealed with the given keys. Every method is one statement where it succeeds.
 *
 * @throws `config_invalid` for keys or a table name that are none; the methods: `store_failed`, `store_conflict`
 */
export function createPostgresStore(options: PostgresStoreOptions): PostgresStore {
  const { pool, keys, table = 'latchkey_credentials', timeout = 5000 } = options
  const cipher = createRecordCipher(keys)
  const names = tableNames(table)
  const location = `PostgreSQL (${table})`
  const medium: Medium = { location, diagnose, patience: timeout }
  const known = [...cipher.keyIds]

  const query: Query = (act, text, values = []) =>
    asStoreFailure(medium, act, () => pool.query(text, values) as Promise<Answer>)

  /** Why a statement changed nothing, when nothing but another revision or a missing key can be the reason. */
  const assertOurs = async (id: string): Promise<{ exists: boolean }> => {
    const { rows } = await query('read', `SELECT key_id FROM ${names.records} WHERE id = $1`, [id])
    const keyId = rows[0]?.key_id
    if (keyId !== undefined && !known.includes(keyId)) throw keyMissing(keyId, location)
    return { exists: keyId !== undefined }
  }

  const locks = createLeaseLocks(leaseTable(names, query))

  return {
    kind: 'postgres',

    async createTable() {
      // Two processes that start at once must not both create: the loser of that race gets an error from PostgreSQL.
      const turn = `SELECT pg_advisory_xact_lock(hashtext('latchkey createTable'))`
      await asStoreFailure(medium, 'created', () => pool.query(`${turn};\n${postgresSchema(table)}`))
    },

    async read(key) {
      const id = await rowId(key)
      const text = `SELECT id, revision, key_id, data FROM ${names.records} WHERE id = $1`
      const { rows } = await query('read', text, [id])
      const row = rows[0] && decodeRow(rows[0])
      // The id that was asked for, not the one that was answered.
      return row && { ...(await openRow(cipher, key.kind, { ...row, id }, location)), key }
    },

    async write(key, record, { ifRevision } = {}) {
      assertRecord(key, record)
      const id = await rowId(key)
      const plain = plainRecord(record)
      const [{ keyId, data }, place] = await Promise.all([sealRow(cipher, id, key, plain), rowPlace(key)])
      const row: Row = { id, kind: key.kind, ...place, revision: newRevision(), keyId, data }
      const { text, values } = writeStatement(names, row, ifRevision, known)
      const { rowCount } = await query('written', text, values)
      if (rowCount === 0) {
        await assertOurs(id)
        throw changedMeanwhile(location)
      }
      return { key, record: plain, revision: row.revision }
    },

    async delete(key, { ifRevision } = {}) {
      const id = await rowId(key)
      const values: unknown[] = [id, known]
      if (ifRevision !== undefined) values.push(ifRevision)
      const text = `DELETE FROM ${names.records} WHERE id = $1 AND key_id = ANY($2)${ifRevision === undefined ? '' : ' AND revision = $3'}`
      const { rowCount } = await query('changed', text, values)
      if (rowCount !== 0) return
      const { exists } = await assertOurs(id)
      if (exists) throw changedMeanwhile(location)
    },

    async list(filter) {
      const { text, values } = await listStatement(names, filter)
      const { rows } = await query('listed', text, values)
      const stored: StoredRecord[] = []
      for (const row of rows) {
        const opened = await openRow(cipher, filter.kind, decodeRow(row), location)
        if (passes(filter, opened)) stored.push(opened)
      }
      return stored
    },

    async lock(key, { signal } = {}) {
      assertKey(key)
      return locks.acquire(await rowId(key), { signal })
    },

    async prepare() {
      // Writes no row, but needs the table and all rights to it.
      const { records } = names
      const nothing = `INSERT INTO ${records} SELECT * FROM ${records} WHERE false ON CONFLICT (id) DO UPDATE SET revision = 'x'`
      await query('written', nothing)
    },

    locate: () => location,
  }
}

interface Row extends SealedRow {
  readonly kind: CredentialKey['kind']
  readonly domain: string
  readonly account: string
}

interface Statement {
  readonly text: string
  readonly values: unknown[]
}

function writeStatement(
  { records }: TableNames,
  { id, kind, domain, account, revision, keyId, data }: Row,
  ifRevision: string | null | undefined,
  known: readonly string[],
): Statement {
  if (typeof ifRevision === 'string') {
    return {
      text: `UPDATE ${records} SET revision = $2, key_id = $3, data = $4 WHERE id = $1 AND key_id = ANY($5) AND revision = $6`,
      values: [id, revision, keyId, data, known, ifRevision],
    }
  }
  const insert = `INSERT INTO ${records} AS stored (id, kind, domain, account, revision, key_id, data) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id)`
  const values: unknown[] = [id, kind, domain, account, revision, keyId, data]
  if (ifRevision === null) return { text: `${insert} DO NOTHING`, values }
  return {
    text: `${insert} DO UPDATE SET revision = $5, key_id = $6, data = $7 WHERE stored.key_id = ANY($8)`,
    values: [...values, known],
  }
}

async function listStatement(
  { records }: TableNames,
  { kind, serverDomain, account }: Filter,
): Promise<Statement> {
  const values: string[] = [kind]
  let text = `SELECT id, revision, key_id, data FROM ${records} WHERE kind = $1`
  if (serverDomain !== undefined) text += ` AND domain = $${values.push(await domainDigest(serverDomain))}`
  if (account !== undefined) text += ` AND account = $${values.push(await accountDigest(account))}`
  return { text, values }
}

/** By the clock of the database alone, and without a session: a pooler may give every statement another connection. */
function leaseTable({ locks }: TableNames, query: Query): LeaseTable {
  const end = `clock_timestamp() + interval '${LEASE} milliseconds'`
  return {
    async take(id, token) {
      const text = `INSERT INTO ${locks} AS held (id, token, expires_at) VALUES ($1, $2, ${end}) ON CONFLICT (id) DO UPDATE SET token = $2, expires_at = ${end} WHERE held.expires_at < clock_timestamp()`
      return (await query('locked', text, [id, token])).rowCount === 1
    },
    async extend(id, token) {
      const text = `UPDATE ${locks} SET expires_at = ${end} WHERE id = $1 AND token = $2`
      return (await query('locked', text, [id, token])).rowCount === 1
    },
    async free(id, token) {
      await query('unlocked', `DELETE FROM ${locks} WHERE id = $1 AND token = $2`, [id, token])
    },
  }
}

function decodeRow({
  id = '',
  revision = '',
  key_id: keyId = '',
  data = '',
}: Record<string, string>): SealedRow {
  return { id, revision, keyId, data }
}

function changedMeanwhile(location: string): StoreConflictError {
  return new StoreConflictError({ location, message: `The record in ${location} changed in the meantime.` })
}

const REMEDIES: Readonly<Record<string, string>> = {
  '42P01': 'Create the tables: `await store.createTable()`, or run the SQL of `postgresSchema(table)`.',
  '42703': 'The table was made by something else: choose another `table`.',
  '3F000': 'Create the schema that `table` names.',
  '42501': 'Grant this role SELECT, INSERT, UPDATE and DELETE on the tables, and CREATE for `createTable()`.',
  '28P01': 'Check user name and password of the pool.',
  '28000': 'Allow this role to connect (pg_hba.conf).',
  '3D000': 'Create the database that the pool names.',
  '53100': 'The disk of the database is full. What was stored before is unchanged.',
  '53300': 'The database has no connection left: lower `max` of the pools, or use a pooler.',
  '57P03': 'The database is starting or shutting down: try again in a moment.',
  '25006': 'The pool is connected to a read-only standby: connect it to the primary.',
}

function diagnose(error: unknown): Diagnosis {
  const network = networkCode(error)
  if (network) return { code: network, remedy: 'Check that PostgreSQL runs and can be reached.' }
  const sqlState = (error as { code?: unknown } | null)?.code
  const code =
    typeof sqlState === 'string' && /^[A-Z0-9]{5}$/.test(sqlState)
      ? sqlState
      : error instanceof Error
        ? error.constructor.name
        : 'unknown'
  return { code, remedy: REMEDIES[code] ?? 'Check that PostgreSQL runs and that its version is 12 or later.' }
}
