import type { OAuthSettings } from '../definitions.ts'
import {
  isLatchkeyError,
  StoreConflictError,
  StoreFailedError,
  type TokenRequestRefusedError,
} from '../errors/index.ts'
import type { FlowContext } from '../flow/context.ts'
import type { Renewal } from '../flow/renewal.ts'
import type { SignInResult } from '../flow/sign-in.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { CredentialStore, Lease } from '../ports.ts'
import { type Identity, registrationKey, tokensKey } from './identity.ts'
import { misfit } from './misfit.ts'
import { decodeTokenSet, encodeRecord } from './record.ts'
import { forgetRegistration, storedRegistrations } from './registrations.ts'
import { isExpired, needsRenewal } from './token-lifetime.ts'

/** After an early renewal that failed, the live token is used this long before the next try, in milliseconds. */
const EARLY_RENEWAL_PAUSE = 10_000

export interface KeeperParts {
  readonly identity: Identity
  readonly settings: OAuthSettings
  readonly store: CredentialStore
  readonly renewal: Renewal
  readonly context: FlowContext
}

/** A stored login and the revision it was read at. */
interface Held {
  readonly tokens: TokenSet
  readonly revision: string
}

/**
 * Keeps the login of one identity: reads it, renews it exactly once for all who wait, writes it. The only code that
 * changes stored credentials, and it never writes over or deletes a login newer than the one it read.
 */
export class Keeper {
  readonly #parts: KeeperParts
  #held: Held | undefined
  /** Renewed, but the store could not take it: newer than what is stored at its revision. */
  #unsaved: Held | undefined
  #renewal: Promise<TokenSet | undefined> | undefined
  #obtaining: Promise<TokenSet> | undefined
  #pausedUntil = 0
  /** The revision that was told of as unusable: once is enough. */
  #toldOf: string | undefined

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  get location(): string {
    return this.#parts.store.locate(this.#key)
  }

  /** The stored login, expired or not; reads the store, asks no network. */
  async read(): Promise<TokenSet | undefined> {
    const stored = await this.#load()
    if (stored?.revision !== this.#unsaved?.revision) this.#unsaved = undefined
    this.#held = this.#unsaved ?? stored
    return this.#held?.tokens
  }

  /**
   * The tokens to use now, renewed ahead of expiry. `undefined` when there is no login or it is over.
   *
   * @throws `network_failed` when the token is expired and cannot be renewed just now, `store_failed`
   */
  async usable(): Promise<TokenSet | undefined> {
    let tokens = this.#held?.tokens ?? (await this.read())
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    // Somebody else may have renewed it long ago.
    tokens = await this.read()
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    const expired = this.#isExpired(tokens)
    if (!this.#parts.renewal.isPossible(tokens)) return expired ? undefined : tokens
    return expired ? this.renew(tokens.access_token) : this.#renewEarly(tokens)
  }

  /**
   * Replaces an access token that is about to expire or was answered with 401. All callers share one request.
   * `undefined` when only a new sign-in helps.
   *
   * @throws `network_failed`, `token_request_refused`, `response_invalid`, `store_failed`
   */
  async renew(rejected: string): Promise<TokenSet | undefined> {
    const newer = this.#held?.tokens
    if (newer && newer.access_token !== rejected && !this.#isExpired(newer)) return newer
    this.#renewal ??= this.#renewLocked(rejected).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  /**
   * Gets tokens that need no person, under the lock and once for all who wait. What somebody else stored meanwhile is
   * taken instead, where it is `enough`.
   *
   * @throws what `get` throws; whoever waited for it gets the same error, and asks no second time
   */
  async obtain(
    enough: (tokens: TokenSet) => boolean,
    get: (previous: TokenSet | undefined) => Promise<TokenSet>,
  ): Promise<TokenSet> {
    if (this.#obtaining) {
      const shared = await this.#obtaining
      if (enough(shared)) return shared
    }
    const own = this.#obtainLocked(enough, get).finally(() => {
      if (this.#obtaining === own) this.#obtaining = undefined
    })
    this.#obtaining = own
    return own
  }

  /** Stores what a sign-in brought: the registration first, since the tokens are worth nothing without it. */
  async save({ tokens, registration }: SignInResult): Promise<void> {
    const { store, identity } = this.#parts
    const lease = await store.lock(this.#key)
    try {
      if (registration) {
        const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
        await store.write(key, encodeRecord(key, registration))
      }
      await this.#write(tokens)
    } finally {
      await lease.release()
    }
  }

  /** The dynamic registrations of this server and account, newest first. */
  registrations(): Promise<ClientRegistration[]> {
    return storedRegistrations(this.#parts.store, this.#parts.identity)
  }

  /** Deletes the stored login; the registration stays, for the next sign-in. */
  async forget(): Promise<void> {
    const { store } = this.#parts
    const lease = await store.lock(this.#key)
    try {
      await store.delete(this.#key)
      this.#held = undefined
      this.#unsaved = undefined
    } finally {
      await lease.release()
    }
  }

  get #key() {
    return tokensKey(this.#parts.identity)
  }

  async #obtainLocked(
    enough: (tokens: TokenSet) => boolean,
    get: (previous: TokenSet | undefined) => Promise<TokenSet>,
  ): Promise<TokenSet> {
    const lease = await this.#parts.store.lock(this.#key)
    try {
      const stored = await this.read()
      if (stored && enough(stored) && !this.#needsRenewal(stored)) return stored
      const tokens = await get(stored)
      await this.#write(tokens)
      return tokens
    } finally {
      await lease.release()
    }
  }

  /** What a person, or the program's own credentials, have just brought: newer than anything that is stored. */
  async #write(tokens: TokenSet): Promise<void> {
    const { store, context } = this.#parts
    const written = await store.write(this.#key, encodeRecord(this.#key, tokens))
    this.#unsaved = undefined
    this.#held = { tokens, revision: written.revision }
    context.emit({ type: 'credentials_saved', server: context.server, location: this.location })
  }

  /** A courtesy: a token that has time left is used when its server cannot, or will not, renew it. */
  async #renewEarly(tokens: TokenSet): Promise<TokenSet | undefined> {
    const { clock } = this.#parts.context
    if (clock.monotonic() < this.#pausedUntil) return tokens
    try {
      return await this.renew(tokens.access_token)
    } catch (error) {
      if (!isLatchkeyError(error) || error instanceof StoreFailedError || this.#isExpired(tokens)) throw error
      this.#pausedUntil = clock.monotonic() + EARLY_RENEWAL_PAUSE
      return tokens
    }
  }

  async #load(): Promise<Held | undefined> {
    const stored = await this.#parts.store.read(this.#key)
    if (!stored) return undefined
    const tokens = decodeTokenSet(stored.record)
    const { identity, settings } = this.#parts
    const why = tokens ? misfit(tokens, identity, settings) : 'it is not a whole login'
    if (tokens && !why) return { tokens, revision: stored.revision }
    if (this.#toldOf !== stored.revision) {
      this.#toldOf = stored.revision
      const message = `The stored login (${this.location}) is not used: ${why}. It was left as it is.`
      const { emit, server } = this.#parts.context
      emit({ type: 'warning', server, code: 'record_does_not_fit', message })
    }
    return undefined
  }

  async #renewLocked(rejected: string): Promise<TokenSet | undefined> {
    const lease = await this.#parts.store.lock(this.#key)
    try {
      await this.read()
      const held = this.#held
      if (!held) return undefined
      // Another process was faster: its token is as good as one of ours.
      if (held.tokens.access_token !== rejected && !this.#needsRenewal(held.tokens)) return held.tokens
      if (!this.#parts.renewal.isPossible(held.tokens)) return undefined
      return await this.#renewHeld(held, lease)
    } finally {
      await lease.release()
    }
  }

  async #renewHeld(held: Held, lease: Lease): Promise<TokenSet | undefined> {
    const { context, renewal } = this.#parts
    // The last thing before the request: a process that slept may have lost the lock to one that renews right now.
    if (!(await lease.isHeld())) throw this.#lockLost()
    let renewed: TokenSet
    try {
      renewed = await renewal.renew(held.tokens, context)
    } catch (error) {
      const terminal = renewal.isFinal(error, held.tokens)
      if (isLatchkeyError(error))
        context.emit({ type: 'refresh_failed', server: context.server, code: error.code, terminal })
      if (!terminal) throw error
      return this.#endLogin(held, error as TokenRequestRefusedError)
    }
    return this.#persist(renewed, held.revision)
  }

  async #persist(renewed: TokenSet, revision: string): Promise<TokenSet | undefined> {
    const { store, context } = this.#parts
    try {
      const written = await store.write(this.#key, encodeRecord(this.#key, renewed), { ifRevision: revision })
      this.#unsaved = undefined
      this.#held = { tokens: renewed, revision: written.revision }
      context.emit({ type: 'credentials_saved', server: context.server, location: this.location })
      return renewed
    } catch (error) {
      // Somebody signed in or renewed while we stood still: theirs is newer.
      if (error instanceof StoreConflictError) return this.read()
      // This process can still go on with what only it knows.
      this.#unsaved = { tokens: renewed, revision }
      this.#held = this.#unsaved
      throw error
    }
  }

  /** The server said that this login is over. It is deleted, unless a newer one has taken its place. */
  async #endLogin(held: Held, { error }: TokenRequestRefusedError): Promise<TokenSet | undefined> {
    const { store, identity } = this.#parts
    const newer = await this.#load()
    if (newer?.revision !== held.revision) return this.read()
    if (error !== 'invalid_grant') await forgetRegistration(store, identity, held.tokens)
    this.#unsaved = undefined
    try {
      await store.delete(this.#key, { ifRevision: held.revision })
    } catch (conflict) {
      if (!(conflict instanceof StoreConflictError)) throw conflict
    }
    return this.read()
  }

  #needsRenewal(tokens: TokenSet): boolean {
    return needsRenewal(tokens, this.#now())
  }

  #isExpired(tokens: TokenSet): boolean {
    return isExpired(tokens, this.#now())
  }

  #now(): number {
    return this.#parts.context.clock.now() / 1000
  }

  #lockLost(): StoreFailedError {
    return new StoreFailedError({
      message: `The lock of ${this.location} was taken over by another process.`,
      remedy: 'This process stood still for too long (sleep, suspend). Try again.',
      location: this.location,
    })
  }
}
