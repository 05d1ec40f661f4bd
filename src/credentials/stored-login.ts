import type { OAuthSettings } from '../definitions.ts'
import { StoreConflictError, StoreFailedError } from '../errors/index.ts'
import type { TokenReceived } from '../events.ts'
import type { FlowContext } from '../flow/context.ts'
import type { Renewal } from '../flow/renewal.ts'
import type { TokenSet } from '../flow/token-set.ts'
import type { CredentialKey, CredentialStore, Lease, Reservation } from '../ports.ts'
import { sleep } from '../sleep.ts'
import { type Identity, tokensKey } from './identity.ts'
import { misfit } from './misfit.ts'
import { decodeTokenSet, encodeRecord } from './record.ts'

export interface StoredLoginParts {
  readonly identity: Identity
  readonly settings: OAuthSettings
  readonly store: CredentialStore
  readonly renewal: Renewal
  readonly context: FlowContext
}

/** Between tries to write, in milliseconds. */
const PAUSES = [250, 1_000]

/** A login and the revision it was read at. */
export interface Held {
  readonly tokens: TokenSet
  readonly revision: string
}

/**
 * The login of one identity as it rests in the store, and what this process knows of it. Never writes over or deletes one
 * that is newer than the one it read.
 */
export class StoredLogin {
  readonly #parts: StoredLoginParts
  readonly key: CredentialKey
  #held: Held | undefined
  /** Renewed, but the store could not take it: newer than what is stored at its revision. */
  #unsaved: Held | undefined
  /** The revision that was told of as unusable: once is enough. */
  #toldOf: string | undefined

  constructor(parts: StoredLoginParts) {
    this.#parts = parts
    this.key = tokensKey(parts.identity)
  }

  get location(): string {
    return this.#parts.store.locate(this.key)
  }

  /** What was read or written last. */
  get held(): Held | undefined {
    return this.#held
  }

  /** Whether this process knows a newer login than the store could take. */
  get isUnsaved(): boolean {
    return this.#unsaved !== undefined
  }

  async read(): Promise<Held | undefined> {
    const stored = await this.stored()
    // Only another login is newer: one that is gone was ended by somebody who sent the token that this process had spent.
    if (stored && stored.revision !== this.#unsaved?.revision) this.#unsaved = undefined
    this.#held = this.#unsaved ?? stored
    return this.#held
  }

  /** What the store has, whatever this process knows. A record that does not fit counts as none, and is told of once. */
  async stored(): Promise<Held | undefined> {
    const stored = await this.#parts.store.read(this.key)
    if (!stored) return undefined
    const tokens = decodeTokenSet(stored.record)
    const { identity, settings } = this.#parts
    const why = tokens ? misfit(tokens, identity, settings) : 'it is not a whole login'
    if (tokens && !why) return { tokens, revision: stored.revision }
    this.#tellOf(stored.revision, 'used', why!)
    return undefined
  }

  /** Tells once of what was read last. */
  tellNotRenewed(why: string): void {
    if (this.#held) this.#tellOf(this.#held.revision, 'renewed', why)
  }

  #tellOf(revision: string, use: 'used' | 'renewed', why: string): void {
    if (this.#toldOf === revision) return
    this.#toldOf = revision
    const message = `The stored login (${this.location}) is not ${use}: ${why}. It was left as it is.`
    const { emit, server } = this.#parts.context
    emit({ type: 'warning', server, code: 'record_does_not_fit', message })
  }

  /** Nobody else changes this login meanwhile, unless this process stands still for too long: ask the lease. */
  async locked<T>(act: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = await this.#parts.store.lock(this.key)
    try {
      return await act(lease)
    } finally {
      await lease.release()
    }
  }

  /** What a person, or the program's own credentials, have just brought: newer than anything that is stored. */
  async write(tokens: TokenSet, room?: Reservation): Promise<void> {
    const record = encodeRecord(this.key, tokens)
    const { revision } = await this.#repeated(
      () => room?.write(record) ?? this.#parts.store.write(this.key, record),
    )
    this.#saved(tokens.grant ?? 'authorization_code', { tokens, revision })
  }

  /**
   * What a renewal of the login at `revision` brought. Gives the login there is now: somebody else's, where one was stored
   * meanwhile.
   *
   * @throws `store_failed`; this process then goes on with it
   */
  async replace(renewed: Held, room?: Reservation): Promise<TokenSet | undefined> {
    const { tokens } = renewed
    try {
      const revision = await this.#repeated(() => this.#put(renewed, room))
      if (revision === undefined) return (await this.read())?.tokens
      this.#saved(tokens.grant ?? 'refresh_token', { tokens, revision })
      return tokens
    } catch (error) {
      this.#unsaved = renewed
      this.#held = renewed
      throw error instanceof StoreFailedError ? this.#notStored(error) : error
    }
  }

  /** The revision it got; `undefined` where another login took the place of the one that was renewed: that is newer. */
  async #put({ tokens, revision }: Held, room: Reservation | undefined): Promise<string | undefined> {
    const { store } = this.#parts
    const record = encodeRecord(this.key, tokens)
    const write = (ifRevision: string | null) =>
      room?.write(record, { ifRevision }) ?? store.write(this.key, record, { ifRevision })
    try {
      return (await write(revision)).revision
    } catch (error) {
      if (!(error instanceof StoreConflictError)) throw error
      const stored = await store.read(this.key)
      if (!stored) return (await write(null)).revision
      // Ours, where a first try arrived although its answer did not.
      return stored.record.access_token === tokens.access_token ? stored.revision : undefined
    }
  }

  /** A store that fails for a moment must not cost a login of which there is no other copy. */
  async #repeated<T>(act: () => Promise<T>): Promise<T> {
    for (const pause of PAUSES) {
      try {
        return await act()
      } catch (error) {
        if (!(error instanceof StoreFailedError)) throw error
        await sleep(this.#parts.context.clock, pause)
      }
    }
    return act()
  }

  /** Offers the store again what it could not take, if that is still the newest. Under the lock. */
  async replaceAgain(): Promise<void> {
    await this.read()
    if (this.#unsaved) await this.replace(this.#unsaved)
  }

  /** Deletes what was read at this revision; a newer login stays. */
  async delete(revision: string): Promise<void> {
    this.#unsaved = undefined
    this.#held = undefined
    try {
      await this.#parts.store.delete(this.key, { ifRevision: revision })
    } catch (error) {
      // A newer login took its place.
      if (!(error instanceof StoreConflictError)) throw error
    }
  }

  /** Tells only of what is safe: a listener that throws must not come between a new token and the store. */
  #saved(grant: TokenReceived['grant'], held: Held): void {
    this.#held = held
    this.#unsaved = undefined
    const { context, renewal } = this.#parts
    const { emit, server } = context
    const { scope, expires_at } = held.tokens
    emit({
      type: 'token_received',
      server,
      grant,
      ...(scope !== undefined && { scope }),
      ...(expires_at !== undefined && { expires_at }),
      refreshable: renewal.isPossible(held.tokens),
    })
    emit({ type: 'credentials_saved', server, location: this.location })
  }

  #notStored(cause: StoreFailedError): StoreFailedError {
    const { server, loginCommand } = this.#parts.context
    const next = `This process goes on with it and offers it to the store again; what is stored may be used up. If the process ends before that, run: ${loginCommand}`
    return new StoreFailedError({
      message: `The login of ${server} was renewed and could not be stored: ${cause.summary}`,
      remedy: `${cause.remedy} ${next}`.trim(),
      location: cause.location,
      cause,
    })
  }
}
