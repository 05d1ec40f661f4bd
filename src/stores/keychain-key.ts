import { isLatchkeyError } from '../errors/index.ts'
import { base64url, bytesOf } from './base64url.ts'
import { digest } from './digest.ts'
import { type Keychain, type OpenKeychain, unavailable } from './keychain-port.ts'
import { createRecordCipher, type RecordCipher } from './record-cipher.ts'

/** Names the key in the keychain, for whoever looks at it there. */
const SERVICE = 'latchkey'
const KEY = 'key of stored logins'
const TRIAL = 'trial'

/**
 * How long after a failure the keychain is asked again, in milliseconds. Asking may show a prompt, which stays for as long
 * when nobody answers it.
 */
const REST = 60_000

export interface KeychainKeyParts {
  readonly openKeychain: OpenKeychain
  /** Keeps other processes away while a key is made. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  /** Milliseconds until an answer of the keychain is no longer waited for. @default 3000 */
  readonly patience?: number
}

/**
 * Gets the one key of this user, as a cipher. The keychain is asked once, and again only some time after a failure.
 *
 * @throws `store_failed` when there is no keychain, it does not answer in time, or does not keep what it is given
 */
export function createKeychainKey(parts: KeychainKeyParts): () => Promise<RecordCipher> {
  let asked: Promise<RecordCipher> | undefined
  let askAgainAt = 0
  return () => {
    if (!asked || performance.now() > askAgainAt) {
      askAgainAt = Number.POSITIVE_INFINITY
      asked = cipherFrom(parts)
      asked.catch(() => {
        askAgainAt = performance.now() + REST
      })
    }
    return asked
  }
}

async function cipherFrom({
  openKeychain,
  exclusively,
  patience = 3000,
}: KeychainKeyParts): Promise<RecordCipher> {
  let keychain: Keychain | undefined
  try {
    keychain = inTime(openKeychain(SERVICE), patience)
    return await cipherOf((await keychain.read(KEY)) ?? (await exclusively(() => make(keychain!))))
  } catch (error) {
    if (isLatchkeyError(error)) throw error
    throw unavailable(
      `it says "${reasonOf(error)}"`,
      'Unlock it, or start it: on Linux a Secret Service (GNOME Keyring, KWallet) on the D-Bus of the session. Or use the store `file`.',
      error,
    )
  } finally {
    keychain?.close()
  }
}

/** Makes the key, after a trial. Another process may have made it while we waited for our turn. */
async function make(keychain: Keychain): Promise<string> {
  const present = await keychain.read(KEY)
  if (present !== undefined) return present
  await keychain.write(TRIAL, 'trial')
  const kept = await keychain.read(TRIAL)
  await keychain.delete(TRIAL)
  if (kept === 'trial') {
    await keychain.write(KEY, base64url(crypto.getRandomValues(new Uint8Array(32))))
    const stored = await keychain.read(KEY)
    if (stored !== undefined) return stored
  }
  throw unavailable('it does not keep what it is given', 'Use the store `file`.')
}

/** The id is a digest of the key, so that a record shows which key it needs, also when the keychain has another one. */
async function cipherOf(text: string): Promise<RecordCipher> {
  const bytes = bytesOf(text)
  if (bytes?.length !== 32) {
    throw unavailable(
      `its entry "${KEY}" of ${SERVICE} is not a key`,
      'Something else wrote that entry: remove it, then sign in again.',
    )
  }
  const id = (await digest(`key ${text}`)).slice(0, 8)
  return createRecordCipher({ current: id, keys: { [id]: bytes } })
}

/** What a library of the system says, on one line and not at length. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 200)
}

/** The same keychain, with a limit of time for each question. */
function inTime(keychain: Keychain, patience: number): Keychain {
  return {
    read: (name) => within(keychain.read(name), patience),
    write: (name, text) => within(keychain.write(name, text), patience),
    delete: (name) => within(keychain.delete(name), patience),
    close: () => keychain.close(),
  }
}

function within<T>(work: Promise<T>, patience: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        unavailable(
          `it did not answer within ${patience / 1000} s`,
          'It may be waiting to be unlocked: unlock it and run this again. Or use the store `file`.',
        ),
      )
    }, patience)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
