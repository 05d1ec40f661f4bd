import type { OAuthSettings } from '../definitions.ts'
import {
  isLatchkeyError,
  StoreConflictError,
  StoreFailedError,
  type TokenRequestRefusedError,
} from '../errors/index.ts'
import type { TokenReceived } from '../events.ts'
import type { FlowContext } from '../flow/context.ts'
import type { Renewal } from '../flow/renewal.ts'
import type { SignInResult } from '../flow/sign-in.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { CredentialStore, Lease, Reservation } from '../ports.ts'
import { type Identity, registrationKey, tokensKey } from './identity.ts'
import { misfit } from './misfit.ts'
import { decodeTokenSet, encodeRecord } from './record.ts'
import { forgetRegistration, storedRegistrations } from './registrations.ts'
import { isExpired, needsRenewal } from './token-lifetime.ts'

/** After an early renewal or a second write that failed, this long until the next try, in milliseconds. */
const PAUSE = 10_000

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
   * The tokens to use now, renewed ahead of expiry. `undefined` when nobody is signed in, `over` when a login has
   * ended: it must not silently become an anonymous request.
   *
   * @throws `network_failed` when the token is expired and cannot be renewed just now, `store_failed`
   */
  async usable(): Promise<TokenSet | 'over' | undefined> {
    if (this.#unsaved) await this.#saveAgain()
    let tokens = this.#held?.tokens ?? (await this.read())
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    // Somebody else may have renewed it long ago.
    tokens = await this.read()
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    const expired = this.#isExpired(tokens)
    if (!this.#parts.renewal.isPossible(tokens)) return expired ? 'over' : tokens
    return (await (expired ? this.renew(tokens.access_token) : this.#renewEarly(tokens))) ?? 'over'
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
    return this.#renewShared(rejected, { patient: true })
  }

  /** Fails now if a sign-in could not be stored: nobody should sign in for nothing. @throws `store_failed` */
  async prepare(): Promise<void> {
    const { store } = this.#parts
    const { serverDomain, account } = this.#key
    for (const kind of ['tokens', 'registrations'] as const) {
      await store.prepare?.({ kind, serverDomain, account })
    }
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
    await this.#locked(async () => {
      if (registration) {
        const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
        await store.write(key, encodeRecord(key, registration))
      }
      await this.#write(tokens)
    })
  }

  /** The dynamic registrations of this server and account, newest first. */
  registrations(): Promise<ClientRegistration[]> {
    return storedRegistrations(this.#parts.store, this.#parts.identity)
  }

  /**
   * Ends the login: `revoke` tells its server, then it is deleted; the registration stays, for the next sign-in. A
   * record that does not fit the configuration is somebody else's and stays. `undefined` when there was no login.
   */
  async end<T>(
    revoke: (tokens: TokenSet) => Promise<T>,
  ): Promise<{ readonly tokens: TokenSet; readonly outcome: T } | undefined> {
    return this.#locked(async () => {
      await this.read()
      const held = this.#held
      if (!held) return undefined
      const { tokens, revision } = held
      const outcome = await revoke(tokens)
      await this.#delete(revision)
      this.#held = undefined
      return { tokens, outcome }
    })
  }

  get #key() {
    return tokensKey(this.#parts.identity)
  }

  /** Nobody else changes this login meanwhile, unless this process stands still for too long: ask the lease. */
  async #locked<T>(act: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = await this.#parts.store.lock(this.#key)
    try {
      return await act(lease)
    } finally {
      await lease.release()
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

  /** What the store could not take is offered again, now and then, for as long as it is the newest. */
  async #saveAgain(): Promise<void> {
    const { clock } = this.#parts.context
    if (clock.monotonic() < this.#pausedUntil) return
    try {
      await this.#locked(async () => {
        await this.read()
        const unsaved = this.#unsaved
        if (unsaved) await this.#persist(unsaved.tokens, unsaved.revision)
      })
    } catch (error) {
      // It was reported when it failed first, and this process can work without.
      if (!(error instanceof StoreFailedError)) throw error
      this.#pausedUntil = clock.monotonic() + PAUSE
    }
  }

  async #delete(revision: string): Promise<void> {
    this.#unsaved = undefined
    try {
      await this.#parts.store.delete(this.#key, { ifRevision: revision })
    } catch (error) {
      // A newer login took its place.
      if (!(error instanceof StoreConflictError)) throw error
    }
  }

  async #obtainLocked(
    enough: (tokens: TokenSet) => boolean,
    get: (previous: TokenSet | undefined) => Promise<TokenSet>,
  ): Promise<TokenSet> {
    return this.#locked(async () => {
      const stored = await this.read()
      if (stored && enough(stored) && !this.#needsRenewal(stored)) return stored
      const tokens = await get(stored)
      await this.#write(tokens)
      return tokens
    })
  }

  /** What a person, or the program's own credentials, have just brought: newer than anything that is stored. */
  async #write(tokens: TokenSet): Promise<void> {
    const written = await this.#parts.store.write(this.#key, encodeRecord(this.#key, tokens))
    this.#saved(tokens.grant ?? 'authorization_code', { tokens, revision: written.revision })
  }

  /** A courtesy: a token that has time left is used when its server cannot, or will not, renew it. */
  async #renewEarly(tokens: TokenSet): Promise<TokenSet | undefined> {
    const { clock, emit, server } = this.#parts.context
    if (clock.monotonic() < this.#pausedUntil) return tokens
    try {
      return await this.#renewShared(tokens.access_token, { patient: false })
    } catch (error) {
      // What was renewed and could not be stored is told of at once; that it could not be tried has time.
      if (!isLatchkeyError(error) || this.#unsaved || this.#isExpired(tokens)) throw error
      if (error instanceof StoreFailedError)
        emit({ type: 'refresh_failed', server, code: error.code, terminal: false })
      this.#pausedUntil = clock.monotonic() + PAUSE
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

  #renewShared(rejected: string, how: { readonly patient: boolean }): Promise<TokenSet | undefined> {
    this.#renewal ??= this.#renewLocked(rejected, how).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  async #renewLocked(
    rejected: string,
    { patient }: { readonly patient: boolean },
  ): Promise<TokenSet | undefined> {
    return this.#locked(async (lease) => {
      await this.read()
      const held = this.#held
      if (!held) return undefined
      // Another process was faster: its token is as good as one of ours.
      if (held.tokens.access_token !== rejected && !this.#needsRenewal(held.tokens)) return held.tokens
      if (!this.#parts.renewal.isPossible(held.tokens)) return undefined
      return this.#renewHeld(held, lease, patient)
    })
  }

  /** Everything that can fail on this side is tried before the request: it may spend the only copy of a refresh token. */
  async #renewHeld(held: Held, lease: Lease, patient: boolean): Promise<TokenSet | undefined> {
    const { store } = this.#parts
    const room = await store.reserve?.(this.#key)
    try {
      // The last thing: a process that slept may have lost the lock to one that renews right now.
      if (!(await lease.isHeld())) throw this.#lockLost()
      return await this.#exchangeHeld(held, { lease, room, patient })
    } finally {
      await room?.release()
    }
  }

  async #exchangeHeld(
    held: Held,
    { lease, room, patient }: { lease: Lease; room: Reservation | undefined; patient: boolean },
  ): Promise<TokenSet | undefined> {
    const { context, renewal } = this.#parts
    let renewed: TokenSet
    try {
      renewed = await renewal.renew(held.tokens, patient, context)
    } catch (error) {
      const terminal = renewal.isFinal(error, held.tokens)
      if (isLatchkeyError(error))
        context.emit({ type: 'refresh_failed', server: context.server, code: error.code, terminal })
      if (!terminal) throw error
      return this.#endLogin(held, error as TokenRequestRefusedError, lease)
    }
    return this.#persist(renewed, held.revision, room)
  }

  async #persist(renewed: TokenSet, revision: string, room?: Reservation): Promise<TokenSet | undefined> {
    const { store } = this.#parts
    const record = encodeRecord(this.#key, renewed)
    const ifRevision = { ifRevision: revision }
    try {
      const written = await (room?.write(record, ifRevision) ?? store.write(this.#key, record, ifRevision))
      this.#saved(renewed.grant ?? 'refresh_token', { tokens: renewed, revision: written.revision })
      return renewed
    } catch (error) {
      // Somebody signed in or renewed while we stood still: theirs is newer.
      if (error instanceof StoreConflictError) return this.read()
      // This process can still go on with what only it knows.
      this.#unsaved = { tokens: renewed, revision }
      this.#held = this.#unsaved
      throw error instanceof StoreFailedError ? this.#notStored(error) : error
    }
  }

  /** The server said that this login is over. It is deleted, unless a newer one has taken its place. */
  async #endLogin(
    held: Held,
    { error }: TokenRequestRefusedError,
    lease: Lease,
  ): Promise<TokenSet | undefined> {
    const { store, identity } = this.#parts
    const newer = await this.#load()
    // Whoever took the lock over renews this very login: that is why it is refused here.
    if (newer?.revision !== held.revision || !(await lease.isHeld())) return this.read()
    if (error !== 'invalid_grant') await forgetRegistration(store, identity, held.tokens)
    await this.#delete(held.revision)
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

  #notStored(cause: StoreFailedError): StoreFailedError {
    return new StoreFailedError({
      message: `The login of ${this.#parts.context.server} was renewed and could not be stored: ${cause.summary}`,
      remedy:
        `${cause.remedy} This process goes on with the renewed login and offers it to the store again; what is stored may be used up. If the process ends before that, run: ${this.#parts.context.loginCommand}`.trim(),
      location: cause.location,
      cause,
    })
  }

  #lockLost(): StoreFailedError {
    return new StoreFailedError({
      message: `The lock of ${this.location} was taken over by another process.`,
      remedy: 'This process stood still for too long (sleep, suspend). Try again.',
      location: this.location,
    })
  }
}
