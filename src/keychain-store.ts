import { join } from 'node:path'
import type { EventListener } from './events.ts'
import { systemClock } from './node/clock.ts'
import { createFileStore } from './node/file-store.ts'
import { createGenerationLocks } from './node/generation-lock.ts'
import { openSystemKeychain } from './node/keyring-child.ts'
import { createStoreFolder } from './node/store-folder.ts'
import { tokensFolder } from './node/store-folder-layout.ts'
import type { CredentialStore } from './ports.ts'
import { createKeychainKey } from './stores/keychain-key.ts'
import type { OpenKeychain } from './stores/keychain-port.ts'
import { createKeychainSeal } from './stores/keychain-seal.ts'
import type { RecordCipher } from './stores/record-cipher.ts'

export interface KeychainStoreParts {
  /** The folder of the file store. */
  readonly home: string
  readonly emit: EventListener
  /** What happens where there is no keychain: `auto` stores in clear, with a warning; `keychain` stores nothing. */
  readonly mode: 'auto' | 'keychain'
  /** The keychain of the system, unless a test brings its own. */
  readonly openKeychain?: OpenKeychain
  readonly patience?: number
}

/** For the whole process: it is one keychain, and it should ask the person once. */
const keys = new Map<string, () => Promise<RecordCipher>>()

/** The file store, its locks and its compare-and-swap, with records sealed by a key that the keychain keeps. */
export function createKeychainFileStore(parts: KeychainStoreParts): CredentialStore {
  const { home, emit, mode, openKeychain, patience } = parts
  const make = (open: OpenKeychain) =>
    createKeychainKey({
      openKeychain: open,
      exclusively: (work) => exclusively(home, emit, work),
      ...(patience !== undefined && { patience }),
    })
  let cipher = openKeychain ? make(openKeychain) : keys.get(home)
  if (!cipher) {
    cipher = make(openSystemKeychain)
    keys.set(home, cipher)
  }
  return createFileStore({ home, emit, seal: createKeychainSeal({ cipher, mode, emit }) })
}

async function exclusively<T>(home: string, emit: EventListener, work: () => Promise<T>): Promise<T> {
  const folder = join(tokensFolder(home), 'keychain.lock')
  await createStoreFolder({ home, emit }).ensure(folder)
  const lease = await createGenerationLocks({ clock: systemClock }).acquire(join(folder, 'key'))
  try {
    return await work()
  } finally {
    await lease.release()
  }
}
