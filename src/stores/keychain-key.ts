import { isLatchkeyError } from '../errors/index.ts'
import { base64url, bytesOf } from './base64url.ts'
import { digest } from './digest.ts'
import { type OpenEntry, unavailable } from './keychain-entry.ts'
import { createRecordCipher, type RecordCipher } from './record-cipher.ts'

/** Names the key in the keychain, for whoever looks at it there. */
export const SERVICE = 'latchkey'
const KEY = 'key of stored logins'
const TRIAL = 'trial'

/** How long after a failure the keychain is asked again, in milliseconds: asking may show a prompt. */
const REST = 30_000

export interface KeychainKeyParts {
  readonly openEntry: OpenEntry
  /** Keeps other processes away while a key is made. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>
  /** Milliseconds until the keychain is no longer waited for. @default 3000 */
  readonly patience?: number
}

/**
 * Gets the one key of this user, as a cipher. The keychain is asked once, and again only some time after a failure. While
 * it has not answered nobody asks a second time: a person may be looking at its prompt.
 *
 * @throws `store_failed` when there is no keychain, it does not answer in time, or does not keep what it is given
 */
export function createKeychainKey(parts: KeychainKeyParts): () => Promise<RecordCipher> {
  const { patience = 3000 } = parts
  let asked: { readonly answer: Promise<RecordCipher>; readonly until: number } | undefined
  let failed: { readonly error: unknown; readonly until: number } | undefined
  return async () => {
    const now = performance.now()
    if (failed && now < failed.until) throw failed.error
    if (!asked) {
      const answer = cipherFrom(parts)
      asked = { answer, until: now + patience }
      answer.catch((error) => {
        asked = undefined
        failed = { error, until: performance.now() + REST }
      })
    }
    return withinTime(asked.answer, asked.until - now, patience)
  }
}

async function cipherFrom({ openEntry, exclusively }: KeychainKeyParts): Promise<RecordCipher> {
  try {
    const entry = await openEntry(SERVICE, KEY)
    return await cipherOf((await entry.read()) ?? (await exclusively(() => make(openEntry))))
  } catch (error) {
    if (isLatchkeyError(error)) throw error
    throw unavailable(
      'it does not answer, or refuses',
      'Unlock it, or start it: on Linux a Secret Service (GNOME Keyring, KWallet) on the D-Bus of the session. Or use the store `file`.',
      error,
    )
  }
}

/** Makes the key, after a trial. Another process may have made it while we waited for our turn. */
async function make(openEntry: OpenEntry): Promise<string> {
  const entry = await openEntry(SERVICE, KEY)
  const present = await entry.read()
  if (present !== undefined) return present
  const trial = await openEntry(SERVICE, TRIAL)
  await trial.write('trial')
  const kept = await trial.read()
  await trial.delete()
  if (kept === 'trial') {
    await entry.write(base64url(crypto.getRandomValues(new Uint8Array(32))))
    const stored = await entry.read()
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

function withinTime<T>(work: Promise<T>, left: number, patience: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        unavailable(
          `it did not answer within ${patience / 1000} s`,
          'It may be waiting to be unlocked: unlock it and run this again. Or use the store `file`.',
        ),
      )
    }, left)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
