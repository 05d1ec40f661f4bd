import { canonicalKey } from '../credential-key.ts'
import { StoreFailedError } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { CredentialKey } from '../ports.ts'
import { decodeSealed, encodeSealed, type RecordSeal, sealedWith } from '../record-seal.ts'
import { digest } from './digest.ts'
import type { RecordCipher } from './record-cipher.ts'
import { objectOf } from './sealed-row.ts'

export interface KeychainSealParts {
  readonly cipher: () => Promise<RecordCipher>
  /** `auto`: records rest in clear where there is no keychain, with a warning. `keychain`: nothing is stored then. */
  readonly mode: 'auto' | 'keychain'
  readonly emit: EventListener
}

/** Seals the records of the file store with a key that the keychain of the system keeps. */
export function createKeychainSeal({ cipher, mode, emit }: KeychainSealParts): RecordSeal {
  let isToldOf = false

  /** `undefined`: there is no keychain, and records may rest in clear. */
  const usable = async (): Promise<RecordCipher | undefined> => {
    try {
      return await cipher()
    } catch (error) {
      if (mode === 'keychain') throw error
      if (!isToldOf) {
        isToldOf = true
        const { summary } = error as { summary?: string }
        const message = `${summary ?? String(error)} Logins are stored in clear text, in files that only you can read.`
        emit({ type: 'warning', code: 'keychain_unavailable', message })
      }
      return undefined
    }
  }

  return {
    kind: mode,
    async ready() {
      await usable()
    },
    async keyIds() {
      return (await usable())?.keyIds ?? []
    },
    async seal(key, record) {
      const found = await usable()
      if (!found) return record
      const sealed = await found.seal(await nameOf(key), JSON.stringify(record))
      return { ...key.identity, sealed: encodeSealed(sealed) }
    },
    async open(key, record) {
      const sealed = decodeSealed(record.sealed)
      const location = `the files of ${key.serverDomain}`
      if (!sealed) throw anotherKey(sealedWith(record) ?? '', location)
      // Whatever is wrong with the keychain is what has to be said here, also in `auto`.
      const found = await cipher()
      if (!found.keyIds.includes(sealed.keyId)) throw anotherKey(sealed.keyId, location)
      return objectOf(await found.open(await nameOf(key), sealed, location))
    },
  }
}

function anotherKey(keyId: string, location: string): StoreFailedError {
  return new StoreFailedError({
    location,
    message: `${location} hold a login that is sealed with the key ${JSON.stringify(keyId)}, and the keychain has another one. It was left as it is.`,
    remedy: 'If that key is lost, move the file away and sign in again.',
  })
}

/** What is sealed belongs to one key, as in the databases. */
function nameOf(key: CredentialKey): Promise<string> {
  return digest(canonicalKey(key))
}
