import { StoreFailedError } from '../errors/index.ts'

/** One text in the system's keychain, below a service name. */
export interface KeychainEntry {
  read(): Promise<string | undefined>
  write(text: string): Promise<void>
  delete(): Promise<void>
}

/** Opens an entry; the part of {@link KeychainEntry} that a test replaces. @throws when there is no keychain */
export type OpenEntry = (service: string, name: string) => Promise<KeychainEntry>

/** What is used of `@napi-rs/keyring`. */
interface Keyring {
  readonly AsyncEntry: new (
    service: string,
    name: string,
    options: { linux: { store: 'secret-service' } },
  ) => {
    getPassword(): Promise<string | null>
    setPassword(password: string): Promise<void>
    deletePassword(): Promise<boolean>
  }
}

/** Where the key is, in words. */
export const KEYCHAIN = 'the keychain of the system'

/** The keychain of the system, through `@napi-rs/keyring`, which is loaded here and nowhere else. */
export const openKeychainEntry: OpenEntry = async (service, name) => {
  const { AsyncEntry } = await loadKeyring()
  // Left to itself the package takes the kernel's keyring where there is no Secret Service: memory that is gone after a
  // restart, and with it every login.
  const entry = new AsyncEntry(service, name, { linux: { store: 'secret-service' } })
  return {
    read: async () => (await entry.getPassword()) ?? undefined,
    write: (text) => entry.setPassword(text),
    delete: async () => void (await entry.deletePassword()),
  }
}

async function loadKeyring(): Promise<Keyring> {
  try {
    // Not an import that the compiler follows: the package is optional, and so are its types.
    const name: string = '@napi-rs/keyring'
    return (await import(name)) as Keyring
  } catch (error) {
    throw unavailable(
      '@napi-rs/keyring is not installed, or not for this system',
      'Install it beside latchkey: npm install @napi-rs/keyring',
      error,
    )
  }
}

/** The keychain cannot be used: why, and what helps. */
export function unavailable(because: string, remedy: string, cause?: unknown): StoreFailedError {
  return new StoreFailedError({
    location: KEYCHAIN,
    message: `The keychain of the system cannot be used: ${because}.`,
    remedy,
    cause,
  })
}
