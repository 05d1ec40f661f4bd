import { ConfigInvalidError, StoreFailedError } from '../errors/index.ts'
import type { Sealed } from '../record-seal.ts'
import { base64url, bytesOf } from './base64url.ts'

/** Keys that records are sealed with: 32 random bytes each, as bytes or in base64 (`openssl rand -base64 32`). */
export interface StoreKeys {
  /** Id of the key that new records are sealed with. */
  readonly current: string
  /** By id: 1 to 64 of `A-Z a-z 0-9 _ -`. Those that are not current only open what was sealed with them. */
  readonly keys: Readonly<Record<string, Uint8Array | string>>
}

/** AES-256-GCM. What is sealed under one name cannot be opened under another. */
export interface RecordCipher {
  readonly keyIds: readonly string[]
  seal(name: string, text: string): Promise<Sealed>
  /** Throws `store_failed` naming the key id and `location` when the key is missing or the data were changed. */
  open(name: string, sealed: Sealed, location: string): Promise<string>
}

const NONCE = 12

/** @throws `config_invalid` for keys that are none; nothing of a key is ever shown */
export function createRecordCipher({ current, keys }: StoreKeys): RecordCipher {
  const imported = new Map<string, Promise<CryptoKey>>()
  for (const [id, value] of Object.entries(keys)) imported.set(id, importKey(keyBytes(id, value)))
  if (!imported.has(current)) {
    throw new ConfigInvalidError({
      key: 'keys.current',
      message: `keys.current is ${JSON.stringify(current)}, and keys.keys has no key of that id.`,
      remedy: 'Name one of the keys, or add it.',
    })
  }
  return {
    keyIds: [...imported.keys()],

    async seal(name, text) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE))
      const key = await recordKey(await imported.get(current)!, name)
      const algorithm = { name: 'AES-GCM', iv: nonce, additionalData: associated(current, name) }
      const data = new Uint8Array(await crypto.subtle.encrypt(algorithm, key, new TextEncoder().encode(text)))
      const bytes = new Uint8Array(NONCE + data.length)
      bytes.set(nonce)
      bytes.set(data, NONCE)
      return { keyId: current, data: base64url(bytes) }
    },

    async open(name, { keyId, data }, location) {
      const root = imported.get(keyId)
      if (!root) throw keyMissing(keyId, location)
      const bytes = bytesOf(data)
      if (!bytes || bytes.length <= NONCE) throw changed(keyId, location)
      const algorithm = {
        name: 'AES-GCM',
        iv: bytes.subarray(0, NONCE),
        additionalData: associated(keyId, name),
      }
      const key = await recordKey(await root, name)
      try {
        return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm, key, bytes.subarray(NONCE)))
      } catch {
        throw changed(keyId, location)
      }
    },
  }
}

/** A record was sealed with a key that is not here. */
export function keyMissing(keyId: string, location: string): StoreFailedError {
  return new StoreFailedError({
    location,
    message: `The record in ${location} is sealed with the key ${JSON.stringify(keyId)}, which is not among the keys of this store. It was left as it is.`,
    remedy: `Add the key ${JSON.stringify(keyId)} to the keys of the store.`,
  })
}

function changed(keyId: string, location: string): StoreFailedError {
  return new StoreFailedError({
    location,
    message: `The record in ${location} cannot be opened with the key ${JSON.stringify(keyId)}: it was changed, moved, or sealed with another key of that id. It was left as it is.`,
    remedy: `Check that the key ${JSON.stringify(keyId)} is the one it always was. Else remove the record and sign in again.`,
  })
}

/** A key of its own for every record: the random nonces then only have to differ among the writes of one record. */
function recordKey(root: CryptoKey, name: string): Promise<CryptoKey> {
  const derivation = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(),
    info: utf8(`latchkey\n${name}`),
  }
  return crypto.subtle.deriveKey(derivation, root, { name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ])
}

function associated(keyId: string, name: string): Uint8Array<ArrayBuffer> {
  return utf8(`latchkey record v1\n${keyId}\n${name}`)
}

function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey'])
}

function keyBytes(id: string, value: Uint8Array | string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new ConfigInvalidError({
      key: 'keys.keys',
      message: `${JSON.stringify(id)} cannot be the id of a key; expected 1 to 64 of A-Z a-z 0-9 _ -.`,
      remedy: 'Ids are stored with the records, in clear: take short ones such as k1.',
    })
  }
  const bytes =
    typeof value === 'string'
      ? bytesOf(value)
      : value instanceof Uint8Array
        ? new Uint8Array(value)
        : undefined
  if (bytes?.length === 32) return bytes
  throw new ConfigInvalidError({
    key: `keys.keys.${id}`,
    message: `The key ${JSON.stringify(id)} is not 32 bytes.`,
    remedy: 'Make one with `openssl rand -base64 32`, and keep it where secrets are kept.',
  })
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}
