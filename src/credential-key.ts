/** What every {@link CredentialStore} does alike: names a record, and tells whether a record is the one that was asked for. */
import type { CredentialKey, JsonObject, JsonValue } from './ports.ts'

/** The members of `identity`, by kind: all that is known of a record before any request. */
export const IDENTITY_MEMBERS: Readonly<Record<CredentialKey['kind'], readonly string[]>> = {
  tokens: ['server_url', 'configured_client_id'],
  registrations: ['issuer', 'redirect_uri'],
  sign_ins: ['state'],
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
 * True when the record repeats every member of the identity, and where it names an account, this one. An inherited or
 * absent member is never equal.
 */
export function repeatsIdentity(key: CredentialKey, record: JsonObject): boolean {
  const isOfAccount = !Object.hasOwn(record, 'account') || record.account === key.account
  return (
    isOfAccount &&
    IDENTITY_MEMBERS[key.kind].every(
      (member) => Object.hasOwn(record, member) && record[member] === key.identity[member],
    )
  )
}

/** The key that finds this record again, or `undefined` when it does not hold a whole identity. */
export function keyOfRecord(
  place: Pick<CredentialKey, 'kind' | 'serverDomain' | 'account'>,
  record: JsonObject,
): CredentialKey | undefined {
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
  if (!repeatsIdentity(key, record)) {
    throw new TypeError(
      `The record does not repeat the identity of its key (${Object.keys(key.identity).join(', ')}), or is of another account`,
    )
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
