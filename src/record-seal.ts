/** Records that cannot be read without a key, on a medium that others can read. */
import type { CredentialKey, JsonObject } from './ports.ts'

/** Seals records on their way to a medium and opens them on their way back. Throws `store_failed`. */
export interface RecordSeal {
  /** Shown by `status` as the kind of the store. */
  readonly kind: string
  /** Throws what {@link seal} would throw, before anybody signs in for it. */
  ready(): Promise<void>
  /** The record with only its identity in clear, or as it is where it may rest in clear. */
  seal(key: CredentialKey, record: JsonObject): Promise<JsonObject>
  /** Gets what {@link seal} made. Throws when it cannot be opened; never says that there is none. */
  open(key: CredentialKey, sealed: JsonObject): Promise<JsonObject>
  /** Ids of the keys at hand, once `ready`. */
  keyIds(): Promise<readonly string[]>
}

/** How a sealed record looks: `v1.<key id>.<base64url>`. */
const SEALED = /^v1\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]+)$/

/** What was sealed, and the id of the key that opens it. */
export interface Sealed {
  readonly keyId: string
  /** base64url: nonce, then ciphertext and tag. */
  readonly data: string
}

export function encodeSealed({ keyId, data }: Sealed): string {
  return `v1.${keyId}.${data}`
}

export function decodeSealed(text: unknown): Sealed | undefined {
  const [, keyId, data] = (typeof text === 'string' && SEALED.exec(text)) || []
  return keyId !== undefined && data !== undefined ? { keyId, data } : undefined
}

/** The id of the key of a sealed record; `''` when it is sealed in a way that is not known; `undefined` for a plain one. */
export function sealedWith(record: JsonObject): string | undefined {
  if (!Object.hasOwn(record, 'sealed')) return undefined
  return decodeSealed(record.sealed)?.keyId ?? ''
}
