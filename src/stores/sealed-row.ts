import {
  assertKey,
  canonicalKey,
  isJsonObject,
  isTooDeep,
  keyOfRecord,
  plainRecord,
} from '../credential-key.ts'
import { StoreFailedError } from '../errors/index.ts'
import type { CredentialKey, CredentialStore, JsonObject, JsonValue, StoredRecord } from '../ports.ts'
import type { Sealed } from '../record-seal.ts'
import { digest } from './digest.ts'
import type { RecordCipher } from './record-cipher.ts'

export type Filter = Parameters<CredentialStore['list']>[0]

/** What a database keeps of one record: nothing of it can be read without the key but kind, key id and revision. */
export interface SealedRow extends Sealed {
  /** Digest of the canonical key: the primary key. */
  readonly id: string
  readonly revision: string
}

/** What a record is found by in a listing. Short digests: what they let through too much is dropped after opening. */
export interface RowPlace {
  readonly domain: string
  readonly account: string
}

export function rowId(key: CredentialKey): Promise<string> {
  assertKey(key)
  return digest(canonicalKey(key))
}

export async function rowPlace(key: Pick<CredentialKey, 'serverDomain' | 'account'>): Promise<RowPlace> {
  const [domain, account] = await Promise.all([domainDigest(key.serverDomain), accountDigest(key.account)])
  return { domain, account }
}

export async function domainDigest(serverDomain: string): Promise<string> {
  return (await digest(`domain ${serverDomain}`)).slice(0, 16)
}

export async function accountDigest(account: string | null): Promise<string> {
  return (await digest(`account ${JSON.stringify(account)}`)).slice(0, 16)
}

/** Seals a record together with the parts of its key that it need not repeat. */
export async function sealRow(
  cipher: RecordCipher,
  id: string,
  { serverDomain, account }: CredentialKey,
  record: JsonObject,
): Promise<Sealed> {
  return cipher.seal(id, JSON.stringify({ server_domain: serverDomain, account, record }))
}

/** @throws `store_failed` when the key is missing, or the row does not hold what was sealed under its id */
export async function openRow(
  cipher: RecordCipher,
  kind: CredentialKey['kind'],
  row: SealedRow,
  location: string,
): Promise<StoredRecord> {
  const {
    server_domain: serverDomain,
    account = null,
    record,
  } = objectOf(await cipher.open(row.id, row, location))
  const isPlace = typeof serverDomain === 'string' && (typeof account === 'string' || account === null)
  const key = isPlace && isJsonObject(record) && keyOfRecord({ kind, serverDomain, account }, record)
  if (key) return { key, record: plainRecord(record as JsonObject), revision: row.revision }
  throw new StoreFailedError({
    location,
    message: `The record in ${location} was written by another version of latchkey, or by another program. It was left as it is.`,
    remedy: 'Update latchkey.',
  })
}

/** The object that was sealed; an empty one for what is none, as of a program that has our key and writes otherwise. */
export function objectOf(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue
    return isJsonObject(value) && !isTooDeep(value) ? value : {}
  } catch {
    return {}
  }
}

export function passes({ kind, serverDomain, account }: Filter, { key }: StoredRecord): boolean {
  return (
    key.kind === kind &&
    (serverDomain === undefined || key.serverDomain === serverDomain) &&
    (account === undefined || key.account === account)
  )
}

/** 16 hexadecimal digits that no other write has. */
export function newRevision(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
