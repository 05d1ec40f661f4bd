import { isLatchkeyError, StoreFailedError, type TokenRequestRefusedError } from '../errors/index.ts'
import type { FlowContext } from '../flow/context.ts'
import type { SignInResult } from '../flow/sign-in.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { Lease, Reservation } from '../ports.ts'
import { registrationKey } from './identity.ts'
import { IssuerPin } from './issuer-pin.ts'
import { encodeRecord } from './record.ts'
import {
  doubtRegistration,
  forgetRegistration,
  forgetReplaced,
  storedRegistrations,
} from './registrations.ts'
import { type Held, StoredLogin, type StoredLoginParts } from './stored-login.ts'
import { isExpired, needsRenewal } from './token-lifetime.ts'

/** After an early renewal or a second write that failed, this long until the next try, in milliseconds. */
const PAUSE = 10_000

export type KeeperParts = StoredLoginParts

/** Another process has the lock by now. */
class LockLostError extends StoreFailedError {}

/**
 * Keeps the login of one identity: reads it, renews it exactly once for all who wait, writes it. The only code that
 * changes stored credentials, and it never writes over or deletes a login newer than the one it read.
 */
export class Keeper {
  readonly #parts: KeeperParts
  readonly #login: StoredLogin
  readonly #pin: IssuerPin
  #renewal: Promise<TokenSet | undefined> | undefined
  #obtaining: Promise<TokenSet> | undefined
  #pausedUntil = 0

  constructor(parts: KeeperParts) {
    this.#parts = parts
    this.#login = new StoredLogin(parts)
    this.#pin = new IssuerPin({ ...parts, clock: parts.context.clock })
  }

  get location(): string {
    return this.#login.location
  }

  /** What was read last: what requests went by. */
  get held(): TokenSet | undefined {
    return this.#login.held?.tokens
  }

  /** The stored login, expired or not; reads the store, asks no network. */
  async read(): Promise<TokenSet | undefined> {
    return (await this.#login.read())?.tokens
  }

  /**
   * The tokens to use now, renewed ahead of expiry. `undefined` when nobody is signed in, `over` when a login has
   * ended: it must not silently become an anonymous request.
   *
   * @throws `network_failed` when the token is expired and cannot be renewed just now, `store_failed`
   */
  async usable(): Promise<TokenSet | 'over' | undefined> {
    if (this.#login.isUnsaved) await this.#saveAgain()
    let tokens = this.held ?? (await this.read())
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    // Somebody else may have renewed it long ago.
    tokens = await this.read()
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    const expired = this.#isExpired(tokens)
    if (!(await this.isRenewable(tokens))) return expired ? 'over' : tokens
    return (await (expired ? this.renew(tokens.access_token) : this.#renewEarly(tokens))) ?? 'over'
  }

  /**
   * Replaces an access token that is about to expire or was answered with 401. All callers share one request.
   * `undefined` when only a new sign-in helps.
   *
   * @throws `network_failed`, `token_request_refused`, `response_invalid`, `store_failed`
   */
  async renew(rejected: string): Promise<TokenSet | undefined> {
    const newer = this.held
    if (newer && newer.access_token !== rejected && !this.#isExpired(newer)) return newer
    return this.#renewShared(rejected, { patient: true })
  }

  /** Fails now if a sign-in could not be stored: nobody should sign in for nothing. @throws `store_failed` */
  async prepare(): Promise<void> {
    const { store } = this.#parts
    const { serverDomain, account } = this.#login.key
    for (const kind of ['tokens', 'registrations'] as const) {
      await store.prepare?.({ kind, serverDomain, account })
    }
    if (this.#pin.isNeeded) await store.prepare?.({ kind: 'issuers', serverDomain, account: null })
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

  /**
   * The one authorization server that the credentials of the configuration may be shown to: pinned, else that of the login
   * there is. `undefined` before the first login, and where nothing is configured.
   */
  async pinnedIssuer(): Promise<string | undefined> {
    if (!this.#pin.isNeeded) return undefined
    return (await this.#pin.read()) ?? (await this.read())?.issuer
  }

  /** Whether a login is from where the credentials of the configuration belong: else nothing of them is sent for it. */
  isOfPinnedIssuer({ issuer }: TokenSet): Promise<boolean> {
    return this.#pin.allows(issuer)
  }

  /** Whether what was read last gets new tokens without a person. */
  async isRenewable(tokens: TokenSet): Promise<boolean> {
    if (!this.#parts.renewal.isPossible(tokens)) return false
    if (await this.isOfPinnedIssuer(tokens)) return true
    this.#login.tellNotRenewed('it is from another issuer than the credentials under `auth` belong to')
    return false
  }

  /** Stores what a sign-in brought: the registration first, since the tokens are worth nothing without it. */
  async save({ tokens, registration, isNewClient }: SignInResult): Promise<void> {
    const { store, identity } = this.#parts
    await this.#login.locked(async () => {
      const previous = isNewClient ? await this.read() : undefined
      if (registration) {
        const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
        await store.write(key, encodeRecord(key, registration))
      }
      await this.#pin.set(tokens.issuer)
      await this.#login.write(tokens)
      if (isNewClient && registration)
        await forgetReplaced(store, identity, { registration, previous, now: this.#now() })
    })
  }

  /** The server of this stored registration may have forgotten it: the next sign-in registers anew. */
  async doubt(registration: ClientRegistration): Promise<void> {
    const { store, identity } = this.#parts
    await this.#login.locked(() => doubtRegistration(store, identity, registration, this.#now()))
  }

  /** The dynamic registrations of this server and account, newest first. */
  registrations(): Promise<ClientRegistration[]> {
    return storedRegistrations(this.#parts.store, this.#parts.identity)
  }

  /**
   * Ends the login: `revoke` tells its server, then it is deleted; the registration and the pinned issuer stay, for the next
   * sign-in. A record that does not fit the configuration is somebody else's and stays. `undefined` when there was no login.
   */
  async end<T>(
    revoke: (tokens: TokenSet) => Promise<T>,
  ): Promise<{ readonly tokens: TokenSet; readonly outcome: T } | undefined> {
    return this.#login.locked(async () => {
      const held = await this.#login.read()
      if (!held) return undefined
      const { tokens, revision } = held
      const outcome = await revoke(tokens)
      await this.#pin.keep(tokens.issuer)
      await this.#login.delete(revision)
      return { tokens, outcome }
    })
  }

  /** What the store could not take is offered again, now and then. */
  async #saveAgain(): Promise<void> {
    const { clock } = this.#parts.context
    if (clock.monotonic() < this.#pausedUntil) return
    try {
      await this.#login.locked(() => this.#login.replaceAgain())
    } catch (error) {
      // It was reported when it failed first, and this process can work without.
      if (!(error instanceof StoreFailedError)) throw error
      this.#pausedUntil = clock.monotonic() + PAUSE
    }
  }

  async #obtainLocked(
    enough: (tokens: TokenSet) => boolean,
    get: (previous: TokenSet | undefined) => Promise<TokenSet>,
  ): Promise<TokenSet> {
    return this.#login.locked(async () => {
      const stored = await this.read()
      const isGood = stored && enough(stored) && !this.#needsRenewal(stored)
      if (isGood && (await this.isOfPinnedIssuer(stored))) return stored
      return this.#inRoom(async (room) => {
        const tokens = await get(stored)
        if (tokens === stored) return tokens
        // First what there is only one copy of.
        await this.#login.write(tokens, room)
        await this.#pin.set(tokens.issuer)
        return tokens
      })
    })
  }

  /** A courtesy: a token that has time left is used when its server cannot, or will not, renew it. */
  async #renewEarly(tokens: TokenSet): Promise<TokenSet | undefined> {
    const { clock, emit, server } = this.#parts.context
    if (clock.monotonic() < this.#pausedUntil) return tokens
    try {
      return await this.#renewShared(tokens.access_token, { patient: false })
    } catch (error) {
      // What was renewed and could not be stored is told of at once; that it could not be tried has time.
      if (!isLatchkeyError(error) || this.#login.isUnsaved || this.#isExpired(tokens)) throw error
      if (error instanceof StoreFailedError)
        emit({ type: 'refresh_failed', server, code: error.code, terminal: false })
      this.#pausedUntil = clock.monotonic() + PAUSE
      return tokens
    }
  }

  #renewShared(rejected: string, how: { readonly patient: boolean }): Promise<TokenSet | undefined> {
    this.#renewal ??= this.#renewLocked(rejected, how)
      .catch((error: unknown) => {
        // Whoever took the lock over has renewed, or does so now: nothing was sent from here, so begin again, once.
        if (!(error instanceof LockLostError)) throw error
        return this.#renewLocked(rejected, how)
      })
      .finally(() => {
        this.#renewal = undefined
      })
    return this.#renewal
  }

  async #renewLocked(
    rejected: string,
    { patient }: { readonly patient: boolean },
  ): Promise<TokenSet | undefined> {
    return this.#login.locked(async (lease) => {
      const held = await this.#login.read()
      if (!held) return undefined
      // Another process was faster: its token is as good as one of ours.
      if (held.tokens.access_token !== rejected && !this.#needsRenewal(held.tokens)) return held.tokens
      if (!(await this.isRenewable(held.tokens))) return undefined
      return this.#inRoom((room) => this.#exchangeHeld(held, { lease, room, patient }))
    })
  }

  /** All that can fail on this side is tried before the request: its answer may be the only copy of a login. */
  async #inRoom<T>(act: (room: Reservation | undefined) => Promise<T>): Promise<T> {
    const room = await this.#parts.store.reserve?.(this.#login.key)
    try {
      return await act(room)
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
      renewed = await renewal.renew(held.tokens, patient, this.#whileHeld(lease))
    } catch (error) {
      const terminal = renewal.isFinal(error, held.tokens)
      if (isLatchkeyError(error) && !(error instanceof StoreFailedError))
        context.emit({ type: 'refresh_failed', server: context.server, code: error.code, terminal })
      if (!terminal) throw error
      return this.#endLogin(held, error as TokenRequestRefusedError, lease)
    }
    return this.#login.replace({ tokens: renewed, revision: held.revision }, room)
  }

  /**
   * Looks at the lock as the last thing before every try: a process that slept, or waited for a busy server and slept then,
   * may have lost it to one that renews right now.
   */
  #whileHeld(lease: Lease): FlowContext {
    const { context } = this.#parts
    const fetch: FlowContext['fetch'] = (stage, options = {}) =>
      context.fetch(stage, {
        ...options,
        sign: async (url, init) => {
          const signed = options.sign ? await options.sign(url, init) : init
          if (!(await lease.isHeld())) throw this.#lockLost()
          return signed
        },
      })
    return { ...context, fetch }
  }

  /** The server said that this login is over. It is deleted, unless a newer one has taken its place. */
  async #endLogin(
    held: Held,
    { error }: TokenRequestRefusedError,
    lease: Lease,
  ): Promise<TokenSet | undefined> {
    const { store, identity } = this.#parts
    const newer = await this.#login.stored()
    // Whoever took the lock over renews this very login: that is why it is refused here.
    if (newer?.revision !== held.revision || !(await lease.isHeld())) return this.read()
    if (error !== 'invalid_grant') await forgetRegistration(store, identity, held.tokens)
    await this.#pin.keep(held.tokens.issuer)
    await this.#login.delete(held.revision)
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

  #lockLost(): LockLostError {
    return new LockLostError({
      message: `The lock of ${this.location} was taken over by another process.`,
      remedy: 'This process stood still for too long (sleep, suspend). Try again.',
      location: this.location,
    })
  }
}
