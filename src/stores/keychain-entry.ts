import { StoreFailedError } from '../errors/index.ts'

/** One text in the system's keychain, below a service name. */
export interface KeychainEntry {
  read(): Promise<string | undefined>
  write(text: string): Promise<void>
  delete(): Promise<void>
}

/** Opens an entry. Rejects, or its methods do, when there is no keychain. */
export type OpenEntry = (service: string, name: string) => Promise<KeychainEntry>

/** The keychain cannot be used: why, and what helps. */
export function unavailable(because: string, remedy: string, cause?: unknown): StoreFailedError {
  return new StoreFailedError({
    location: 'the keychain of the system',
    message: `The keychain of the system cannot be used: ${because}.`,
    remedy,
    cause,
  })
}
