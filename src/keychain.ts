/** `latchkey/keychain`: the store of `store: 'keychain'`, to be made by hand. */
import type { EventListener } from './events.ts'
import { createKeychainFileStore } from './keychain-store.ts'
import { storeHome } from './node/paths.ts'
import { environment } from './node-platform.ts'
import type { CredentialStore } from './ports.ts'

export interface KeychainStoreOptions {
  /** Folder of the store. @default LATCHKEY_HOME, else `~/.mcp_use` */
  readonly home?: string
  /** What happens where there is no keychain: `auto` stores in clear, with a warning; `keychain` stores nothing. @default 'keychain' */
  readonly mode?: 'auto' | 'keychain'
  /** Hears the warnings of the store. */
  readonly onEvent?: EventListener
}

/**
 * Keeps credentials in the files of the file store, sealed with a key that the keychain of the system holds. Needs
 * `@napi-rs/keyring`, and asks the keychain when the store is first used.
 *
 * @throws its methods: `store_failed` where there is no keychain, `store_conflict`
 */
export function createKeychainStore(options: KeychainStoreOptions = {}): CredentialStore {
  const { home = storeHome(environment), mode = 'keychain', onEvent: emit = () => {} } = options
  return createKeychainFileStore({ home, mode, emit })
}
