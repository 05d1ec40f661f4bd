import { StoreFailedError } from '../errors/index.ts'

/** Texts in the system's keychain, each under a name, all below one service. */
export interface Keychain {
  read(name: string): Promise<string | undefined>
  write(name: string, text: string): Promise<void>
  delete(name: string): Promise<void>
  /** Nothing more will be asked. */
  close(): void
}

/** Opens the part of the keychain that belongs to a service. Throws, or its methods do, when there is no keychain. */
export type OpenKeychain = (service: string) => Keychain

/** The keychain cannot be used: why, and what helps. */
export function unavailable(because: string, remedy: string, cause?: unknown): StoreFailedError {
  return new StoreFailedError({
    location: 'the keychain of the system',
    message: `The keychain of the system cannot be used: ${because}.`,
    remedy,
    cause,
  })
}
