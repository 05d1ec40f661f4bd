import type { OAuthSettings } from '../definitions.ts'
import {
  isLatchkeyError,
  NetworkFailedError,
  StoreConflictError,
  StoreFailedError,
  TokenRequestRefusedError,
} from '../errors/index.ts'
import type { FlowContext } from '../flow/context.ts'
import { refresh } from '../flow/refresh.ts'
import type { SignInResult } from '../flow/sign-in.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { CredentialStore, Lease } from '../ports.ts'
import { type Identity, registrationKey, serverDomain, tokensKey } from './identity.ts'
import { decodeRegistration, decodeTokenSet, encodeRecord } from './record.ts'

export interface KeeperParts {
  readonly identity: Identity
  readonly settings: OAuthSettings
  readonly store: CredentialStore
  readonly context: FlowContext
}

/** A stored login and the revision it was read at. */
interface Held {
  readonly tokens: TokenSet
  readonly revision: string
}

type Refreshable = TokenSet & { readonly refresh_token: string }

/**
 * Keeps the login of one identity: reads it, renews it exactly once for all who wait, writes it. The only code that
 * changes stored credentials, and it never writes over or deletes a login newer than the one it read.
 */
export class Keeper {
  readonly #parts: KeeperParts
  #held: Held | undefined
  #renewal: Promise<TokenSet | undefined> | undefined

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  get location(): string {
    return this.#parts.store.locate(this.#key)
  }

  /** The stored login, expired or not; reads the store, asks no network. */
  async read(): Promise<TokenSet | undefined> {
    this.#held = await this.#load()
    return this.#held?.tokens
  }

  /**
   * The tokens to use now, renewed ahead of expiry. `undefined` when there is no login or it is over.
   *
   * @throws `network_failed` when the token is expired and cannot be renewed just now, `store_failed`
   */
  async usable(): Promise<TokenSet | undefined> {
    this.#held ??= await this.#load()
    let tokens = this.#held?.tokens
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    // Somebody else may have renewed it long ago.
    tokens = await this.read()
    if (!tokens || !this.#needsRenewal(tokens)) return tokens
    if (!isRefreshable(tokens)) return this.#isExpired(tokens) ? undefined : tokens
    try {
      return await this.renew(tokens.access_token)
    } catch (error) {
      // Early renewal is a courtesy: a token that still has time left is used when the server is not available.
      if (error instanceof NetworkFailedError && !this.#isExpired(tokens)) return tokens
      throw error
    }
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

  /** Stores what a sign-in brought: the registration first, since the tokens are worth nothing without it. */
  async save({ tokens, registration }: SignInResult): Promise<void> {
    const { store, identity, context } = this.#parts
    const lease = await store.lock(this.#key)
    try {
      if (registration) {
        const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
        await store.write(key, encodeRecord(key, registration))
      }
      const written = await store.write(this.#key, encodeRecord(this.#key, tokens))
      this.#held = { tokens, revision: written.revision }
      context.emit({ type: 'credentials_saved', server: context.server, location: this.location })
    } finally {
      await lease.release()
    }
  }

  /** The dynamic registrations of this server and account, newest first. */
  async registrations(): Promise<ClientRegistration[]> {
    const { store, identity } = this.#parts
    const filter = {
      kind: 'registrations',
      serverDomain: serverDomain(identity.serverUrl),
      account: identity.account,
    } as const
    const records = await store.list(filter)
    return records
      .map(({ record }) => decodeRegistration(record))
      .filter((registration) => registration !== undefined)
      .sort((a, b) => b.created_at - a.created_at)
  }

  /** Deletes the stored login; the registration stays, for the next sign-in. */
  async forget(): Promise<void> {
    const { store } = this.#parts
    const lease = await store.lock(this.#key)
    try {
      await store.delete(this.#key)
      this.#held = undefined
    } finally {
      await lease.release()
    }
  }

  get #key() {
    return tokensKey(this.#parts.identity)
  }

  async #load(): Promise<Held | undefined> {
    const stored = await this.#parts.store.read(this.#key)
    if (!stored) return undefined
    const tokens = decodeTokenSet(stored.record)
    const misfit = tokens ? this.#misfit(tokens) : 'it is not a whole login'
    if (tokens && !misfit) return { tokens, revision: stored.revision }
    const { emit, server } = this.#parts.context
    emit({
      type: 'warning',
      server,
      code: 'record_does_not_fit',
      message: `The stored login (${this.location}) is not used: ${misfit}. It was left as it is.`,
    })
    return undefined
  }

  /** Why a stored login must not be used with this configuration (SEP-2352: credentials belong to an issuer). */
  #misfit({ issuer, resource }: TokenSet): string | undefined {
    const { oauth_provider, resource: wanted } = this.#parts.settings
    if (oauth_provider && oauth_provider.metadata.issuer !== issuer)
      return 'it is from another issuer than the one configured'
    if (wanted !== undefined && resource !== (wanted === 'off' ? undefined : wanted))
      return 'it is for another `resource`'
    return undefined
  }

  async #renewLocked(rejected: string): Promise<TokenSet | undefined> {
    const lease = await this.#parts.store.lock(this.#key)
    try {
      this.#held = await this.#load()
      const held = this.#held
      if (!held) return undefined
      // Another process was faster: its token is as good as one of ours.
      if (held.tokens.access_token !== rejected && !this.#needsRenewal(held.tokens)) return held.tokens
      if (!isRefreshable(held.tokens)) return undefined
      return await this.#renewHeld(held, held.tokens, lease)
    } finally {
      await lease.release()
    }
  }

  async #renewHeld(held: Held, tokens: Refreshable, lease: Lease): Promise<TokenSet | undefined> {
    const { context } = this.#parts
    // The last thing before the request: a process that slept may have lost the lock to one that renews right now.
    if (!(await lease.isHeld())) throw this.#lockLost()
    let renewed: TokenSet
    try {
      renewed = await refresh(tokens, this.#clientSecret(tokens), context)
    } catch (error) {
      const terminal = isTerminal(error, tokens)
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
      this.#held = { tokens: renewed, revision: written.revision }
      context.emit({ type: 'credentials_saved', server: context.server, location: this.location })
      return renewed
    } catch (error) {
      // Somebody signed in or renewed while we stood still: theirs is newer.
      if (error instanceof StoreConflictError) return this.read()
      // This process can still go on with what only it knows.
      this.#held = { tokens: renewed, revision }
      throw error
    }
  }

  /** The server said that this login is over. It is deleted, unless a newer one has taken its place. */
  async #endLogin(held: Held, error: TokenRequestRefusedError): Promise<TokenSet | undefined> {
    const { store, identity } = this.#parts
    const current = await this.#load()
    if (current && current.revision !== held.revision) {
      this.#held = current
      return current.tokens
    }
    const { issuer, redirect_uri, client_kind } = held.tokens
    if (client_kind === 'dynamic' && error.error !== 'invalid_grant') {
      await store.delete(registrationKey(identity, issuer, redirect_uri))
    }
    await store.delete(this.#key, { ifRevision: held.revision })
    this.#held = undefined
    return undefined
  }

  #clientSecret({ client_kind, client_secret }: TokenSet): string | undefined {
    return client_kind === 'dynamic' ? client_secret : this.#parts.settings.client_secret
  }

  /** Less than min(60 s, 10 % of the lifetime) left. */
  #needsRenewal({ expires_at, obtained_at }: TokenSet): boolean {
    if (expires_at === undefined) return false
    const margin = Math.min(60, 0.1 * (expires_at - obtained_at))
    return this.#now() >= expires_at - margin
  }

  #isExpired({ expires_at }: TokenSet): boolean {
    return expires_at !== undefined && this.#now() >= expires_at
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

function isRefreshable(tokens: TokenSet): tokens is Refreshable {
  return tokens.refresh_token !== undefined
}

/** Only a parsed OAuth error ends a login; for a configured client a refused client is a matter of configuration. */
function isTerminal(error: unknown, { client_kind }: TokenSet): boolean {
  if (!(error instanceof TokenRequestRefusedError)) return false
  if (error.error === 'invalid_grant') return true
  return (
    client_kind === 'dynamic' && (error.error === 'invalid_client' || error.error === 'unauthorized_client')
  )
}
