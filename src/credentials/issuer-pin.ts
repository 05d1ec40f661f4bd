import type { OAuthSettings } from '../definitions.ts'
import { StoreConflictError } from '../errors/index.ts'
import type { Clock, CredentialStore } from '../ports.ts'
import { type Identity, issuerKey } from './identity.ts'
import { decodePinnedIssuer, encodeRecord, type PinnedIssuer } from './record.ts'

export interface IssuerPinParts {
  readonly identity: Identity
  readonly settings: OAuthSettings
  readonly store: CredentialStore
  readonly clock: Pick<Clock, 'now'>
}

/**
 * Remembers which authorization server the credentials of a configuration belong to: the first one that they brought a
 * login from. It outlives that login, whichever way it ends, and holds for every account, since the credentials are those
 * of the configuration. A client that was registered by itself belongs to its registration, and needs none.
 */
export class IssuerPin {
  readonly #parts: IssuerPinParts

  constructor(parts: IssuerPinParts) {
    this.#parts = parts
  }

  /** Whether there are credentials that could be sent to a wrong authorization server. */
  get isNeeded(): boolean {
    const { client_id, grant } = this.#parts.settings
    return client_id !== undefined || grant !== undefined
  }

  async read(): Promise<string | undefined> {
    return this.isNeeded ? (await this.#stored())?.issuer : undefined
  }

  /**
   * Whether the credentials of the configuration may be sent there for a login that fits it: what the configuration names
   * itself goes before what is pinned, and was compared with the login.
   */
  async allows(issuer: string): Promise<boolean> {
    const { issuer: configured, oauth_provider } = this.#parts.settings
    if (!this.isNeeded || configured !== undefined || oauth_provider) return true
    const pinned = await this.read()
    return pinned === undefined || pinned === issuer
  }

  /** A login came from this issuer: the first, or another one that the person or the configuration has accepted. */
  async set(issuer: string): Promise<void> {
    if (!this.isNeeded || (await this.#stored())?.issuer === issuer) return
    await this.#parts.store.write(this.#key, this.#record(issuer))
  }

  /** A login of this issuer ends, which may have been stored without a pin. */
  async keep(issuer: string): Promise<void> {
    if (!this.isNeeded || (await this.#stored())) return
    try {
      await this.#parts.store.write(this.#key, this.#record(issuer), { ifRevision: null })
    } catch (error) {
      // Somebody else has pinned it.
      if (!(error instanceof StoreConflictError)) throw error
    }
  }

  get #key() {
    return issuerKey(this.#parts.identity)
  }

  async #stored(): Promise<PinnedIssuer | undefined> {
    const stored = await this.#parts.store.read(this.#key)
    return stored && decodePinnedIssuer(stored.record)
  }

  #record(issuer: string) {
    const pinned: PinnedIssuer = { issuer, pinned_at: Math.floor(this.#parts.clock.now() / 1000) }
    return encodeRecord(this.#key, pinned)
  }
}
