/** What every {@link CredentialStore} does alike: names a record, and tells whether a record is the one that was asked for. */
import type { CredentialKey, JsonObject, JsonValue } from './ports.ts'

/** The members of `identity`, by kind: all that is known of a record before any request. */
export const IDENTITY_MEMBERS: Readonly<Record<CredentialKey['kind'], readonly string[]>> = {
  tokens: ['server_url', 'configured_client_id'],
  registrations: ['issuer', 'redirect_uri'],
  sign_ins: ['state'],
  issuers: ['server_url', 'configured_client_id'],
}

/** One string per key: equal exactly when kind, domain, account and all of the identity are equal. */
export function canonicalKey(key: CredentialKey): string {
  return JSON.stringify([
    key.kind,
    key.serverDomain,
    key.account,
    IDENTITY_MEMBERS[key.kind].map((member) => key.identity[member]),
  ])
}

/**
 * True when the record repeats every member of the identity, and names no other account. An inherited or absent member is
 * never equal.
 */
export function repeatsIdentity(key: CredentialKey, record: JsonObject): boolean {
  return isOfAccount(record, key.account) && repeatsMembers(key, record)
}

function repeatsMembers({ kind, identity }: CredentialKey, record: JsonObject): boolean {
  return IDENTITY_MEMBERS[kind].every(
    (member) => Object.hasOwn(record, member) && record[member] === identity[member],
  )
}

/** A record need not name its account; where it does, it is of no other. */
function isOfAccount(record: JsonObject, account: string | null): boolean {
  return !Object.hasOwn(record, 'account') || record.account === account
}

/** The key that finds this record again; `undefined` when it does not hold a whole identity, or names another account. */
export function keyOfRecord(
  place: Pick<CredentialKey, 'kind' | 'serverDomain' | 'account'>,
  record: JsonObject,
): CredentialKey | undefined {
  if (!isOfAccount(record, place.account)) return undefined
  const identity: Record<string, string | null> = {}
  for (const member of IDENTITY_MEMBERS[place.kind]) {
    const value = Object.hasOwn(record, member) ? record[member] : undefined
    if (typeof value !== 'string' && value !== null) return undefined
    identity[member] = value
  }
  return { ...place, identity }
}

/**
 * Throws `TypeError` for a key without exactly the members of its kind: with fewer, two records could answer to it.
 */
export function assertKey(key: CredentialKey): void {
  const expected = IDENTITY_MEMBERS[key.kind]
  const actual = Object.keys(key.identity)
  const whole = expected.every((member) => {
    const value = key.identity[member]
    return typeof value === 'string' || value === null
  })
  if (!whole || actual.length !== expected.length) {
    throw new TypeError(`The identity of ${key.kind} is ${expected.join(', ')}; got ${actual.join(', ')}`)
  }
}

/** Throws `TypeError` for a record that could not be found again under this key. */
export function assertRecord(key: CredentialKey, record: JsonObject): void {
  assertKey(key)
  if (!repeatsMembers(key, record)) {
    throw new TypeError(
      `The record does not repeat the identity of its key (${Object.keys(key.identity).join(', ')})`,
    )
  }
  if (!isOfAccount(record, key.account)) {
    throw new TypeError('The record is of another account than its key')
  }
}

/** A copy as it would come back from a medium: JSON, and without `revision`, which belongs to the store. */
export function plainRecord(record: JsonObject): JsonObject {
  const { revision: _revision, ...members } = JSON.parse(JSON.stringify(record)) as JsonObject
  return members
}

/** True for a JSON object: neither a list nor `null`. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Nothing that we write comes near; what is deeper would overflow the stack of `JSON.stringify`. */
const DEEPEST = 64

/** Whether a document that was read is nested deeper than any that we write. */
export function isTooDeep(value: JsonValue | undefined, depth = DEEPEST): boolean {
  if (typeof value !== 'object' || value === null) return false
  return depth === 0 || Object.values(value).some((member) => isTooDeep(member, depth - 1))
}
