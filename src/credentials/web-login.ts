import {
  AuthorizationResponseInvalidError,
  type ChallengeSummary,
  SignInTimedOutError,
  StoreConflictError,
} from '../errors/index.ts'
import { mayNotKnowClient, refusesClient } from '../flow/client-proof.ts'
import type { FlowContext } from '../flow/context.ts'
import { assertPinned } from '../flow/discover-pinned.ts'
import { beginWebSignIn, completeWebSignIn, type PendingSignIn } from '../flow/web-sign-in.ts'
import type { CredentialStore, StoredRecord } from '../ports.ts'
import { type Identity, pendingSignInKey } from './identity.ts'
import type { Keeper } from './keeper.ts'
import { misfit } from './misfit.ts'
import type { OAuthServer } from './oauth-server.ts'
import { decodePendingSignIn, encodeRecord } from './record.ts'

export interface WebLoginParts {
  readonly server: OAuthServer
  readonly identity: Identity
  readonly keeper: Keeper
  readonly store: CredentialStore
  readonly context: FlowContext
  /** Milliseconds a person has. */
  readonly timeout: number
}

export interface WebSignInWish {
  readonly redirectUri: string
  readonly challenge?: ChallengeSummary | undefined
  readonly force?: boolean
}

/** Where to send the person, and how to know the answer. */
export interface BegunSignIn {
  readonly authorizationUrl: string
  readonly state: string
  /** Seconds since 1970. */
  readonly expires_at: number
}

/**
 * The sign-in of a web application: two steps in whichever processes the two requests of the browser reach. What lies
 * between them rests in the store, under the account it was begun for, and is taken from there once.
 */
export class WebLogin {
  readonly #parts: WebLoginParts

  constructor(parts: WebLoginParts) {
    this.#parts = parts
  }

  /** @throws `store_failed` before anything else, every code of discovery and registration */
  async begin({ redirectUri, challenge, force = false }: WebSignInWish): Promise<BegunSignIn> {
    const { server, identity, keeper, store, context, timeout } = this.#parts
    const { url: serverUrl, headers, settings } = server
    await keeper.prepare()
    await this.#sweep()
    const [previous, registrations] = [await keeper.read(), await keeper.registrations()]
    // Whoever signs in to a web application does not decide where its credentials go.
    const known = { previous, pinned: await keeper.pinnedIssuer(), mayMove: false }
    const request = { serverUrl, headers, settings, challenge, force, redirectUri, timeout, ...known }
    const usable = force ? [] : registrations
    const { pending, authorizationUrl } = await beginWebSignIn({ ...request, registrations: usable }, context)
    const key = pendingSignInKey(identity, pending.state)
    await store.write(key, this.#recordOf(pending), { ifRevision: null })
    return { authorizationUrl, state: pending.state, expires_at: pending.expires_at }
  }

  /**
   * @throws `authorization_response_invalid` when no sign-in of this account waits for it, `sign_in_timed_out`, and the
   *   codes of the flow
   */
  async complete(parameters: URLSearchParams): Promise<void> {
    const { server, keeper, context } = this.#parts
    const pending = await this.#redeem(parameters.get('state'))
    if (context.clock.now() / 1000 >= pending.expires_at) throw this.#tooLate()
    const { settings } = server
    // It may have been begun where the first one led that wanted the credentials, and another may have got there first.
    const pinned = await keeper.pinnedIssuer()
    if (pending.client_kind === 'pre-registered') assertPinned(pending.issuer, settings, { pinned }, context)
    const result = await completeWebSignIn({ pending, parameters, settings }, context).catch(
      (error: unknown) => this.#failed(error, pending),
    )
    await keeper.save(result)
    context.emit({ type: 'signed_in', server: context.server })
  }

  /** A client that its server no longer knows is not used again: the next beginning registers anew. */
  async #failed(error: unknown, { registration, registration_is_stored }: PendingSignIn): Promise<never> {
    const isDoubtful = refusesClient(error) || mayNotKnowClient(error)
    if (registration && registration_is_stored && isDoubtful) {
      await this.#parts.keeper.doubt(registration).catch(() => {})
    }
    throw error
  }

  /** Takes the sign-in out of the store. Of two who come with one `state` the store lets one go on. */
  async #redeem(state: string | null): Promise<PendingSignIn> {
    const { identity, store } = this.#parts
    if (!state) throw this.#unknown()
    const key = pendingSignInKey(identity, state)
    const stored = await store.read(key)
    const pending = stored && this.#fitting(stored)
    if (!pending) throw this.#unknown()
    try {
      const { revision } = await store.write(
        key,
        { ...stored.record, redeemed: true },
        { ifRevision: stored.revision },
      )
      await store.delete(key, { ifRevision: revision })
    } catch (error) {
      throw error instanceof StoreConflictError ? this.#unknown() : error
    }
    return pending
  }

  /** Begun for this very server and client, and not used yet. */
  #fitting({ record }: StoredRecord): PendingSignIn | undefined {
    const { serverUrl, configuredClientId } = this.#parts.identity
    const { server_url, configured_client_id, redeemed } = record
    if (redeemed || server_url !== serverUrl || configured_client_id !== configuredClientId) return undefined
    const pending = decodePendingSignIn(record)
    const token_type = pending?.dpop_key ? 'dpop' : 'bearer'
    // What is configured may have changed since: a secret goes nowhere but where the configuration now says.
    const fits =
      pending && !misfit({ ...pending, token_type }, this.#parts.identity, this.#parts.server.settings)
    return fits ? pending : undefined
  }

  #recordOf(pending: PendingSignIn) {
    const { identity } = this.#parts
    return {
      ...encodeRecord(pendingSignInKey(identity, pending.state), pending),
      server_url: identity.serverUrl,
      configured_client_id: identity.configuredClientId,
    }
  }

  /**
   * Removes sign-ins of this account that nobody came back from. The person may have met an error page for a client that its
   * server has forgotten: a stored one is not used again.
   */
  async #sweep(): Promise<void> {
    const { identity, store, keeper, context } = this.#parts
    const { serverDomain, account } = pendingSignInKey(identity, '')
    for (const { key, record, revision } of await store.list({ kind: 'sign_ins', serverDomain, account })) {
      if (Number(record.expires_at) * 1000 > context.clock.now()) continue
      const { registration, registration_is_stored } = decodePendingSignIn(record) ?? {}
      if (registration && registration_is_stored && !record.redeemed) await keeper.doubt(registration)
      await store.delete(key, { ifRevision: revision }).catch((error: unknown) => {
        if (!(error instanceof StoreConflictError)) throw error
      })
    }
  }

  #unknown(): AuthorizationResponseInvalidError {
    return new AuthorizationResponseInvalidError({
      message: `No sign-in to ${this.#parts.context.server} waits for this authorization response: it was used already, or begun for another account or server.`,
      remedy: 'Nothing was sent anywhere. Begin the sign-in again.',
      parameter: 'state',
    })
  }

  #tooLate(): SignInTimedOutError {
    const { context, timeout } = this.#parts
    const seconds = Math.round(timeout / 1000)
    return new SignInTimedOutError({
      message: `The sign-in to ${context.server} was not finished within ${seconds} s.`,
      remedy: 'Begin it again.',
      server: context.server,
      seconds,
    })
  }
}
