import {
  type ChallengeSummary,
  type DpopRequiredError,
  isLatchkeyError,
  type LoginRequiredError,
  SignInCancelledError,
  UnsupportedError,
} from '../errors/index.ts'
import type { FlowContext } from '../flow/context.ts'
import { assertPinned } from '../flow/discover-pinned.ts'
import { type SignInParts, signIn } from '../flow/sign-in.ts'
import type { TokenSet } from '../flow/token-set.ts'
import type { SignInBoard } from '../ports.ts'
import { type Identity, identityString } from './identity.ts'
import type { Keeper } from './keeper.ts'
import type { MachineParts } from './machine-place.ts'
import type { OAuthServer } from './oauth-server.ts'
import type { Runtime } from './runtime.ts'
import { besideOthers } from './sign-in-elsewhere.ts'
import type { Turn } from './sign-in-queue.ts'

export interface SignInWish {
  /** What the 401 or 403 said that made the sign-in necessary. */
  readonly challenge?: ChallengeSummary | undefined
  /** Asked for by name (`login`): no cool-down. */
  readonly explicit?: boolean
  /** Ask the person again although the authorization server may remember them; register anew. */
  readonly force?: boolean
  /** {@link PersonLogin.completed} before the request that was refused: a sign-in since then is taken as the answer. */
  readonly since?: number
  readonly signal?: AbortSignal | undefined
}

export interface PersonLoginParts {
  readonly server: OAuthServer
  readonly identity: Identity
  readonly keeper: Keeper
  readonly runtime: Runtime
  readonly context: FlowContext
  /** The error where nobody may be asked. */
  readonly required: (
    challenge: ChallengeSummary | undefined,
    why?: string,
  ) => LoginRequiredError | DpopRequiredError
}

/** The way of a person at this machine: a browser opens, and one sign-in serves all who want this login. */
export class PersonLogin {
  readonly #parts: PersonLoginParts

  constructor(parts: PersonLoginParts) {
    this.#parts = parts
  }

  /** How often a person has signed in for this identity in this process. */
  get completed(): number {
    return this.#parts.runtime.signInQueue.completed(this.#shared)
  }

  /** Asking the person again would not help just now. */
  coolDown(): void {
    this.#parts.runtime.signInQueue.coolDown(this.#shared)
  }

  /**
   * Signs a person in and stores the outcome. Waits its turn; all who ask for this identity share one sign-in.
   *
   * @throws `login_required` when nobody may be asked, `sign_in_cancelled`, and every code of the flow
   */
  async signIn({ challenge, explicit = false, force = false, since, signal }: SignInWish): Promise<void> {
    const { signInQueue, signInBoard, receiver, emit } = this.#parts.runtime
    const identity = this.#shared
    // Another client of this process may have stored what this one has not read yet.
    if (since !== undefined && since !== this.completed) return void (await this.#parts.keeper.read())
    this.#assertMayAsk(challenge, explicit, identity)
    if (!receiver) {
      throw new UnsupportedError({
        message: `This platform cannot take the answer of a sign-in to ${this.#parts.server.name}.`,
        remedy: 'Sign in where latchkey runs under Node, or use a bearer token.',
      })
    }
    const signals = [signal, this.#parts.runtime.signal].filter((each) => each !== undefined)
    const perform = (ended: AbortSignal, turn: Turn) =>
      this.#perform({ challenge, force }, { receiver, turn }, ended)
    await signInQueue
      .run({
        identity,
        server: this.#parts.server.name,
        emit,
        perform,
        machine: this.#besideOthers({ challenge, explicit, force }, signInBoard()),
        ...(signals.length > 0 && { signal: AbortSignal.any(signals) }),
      })
      .catch((error: unknown) => {
        throw signals.some(({ aborted }) => aborted) && !isLatchkeyError(error)
          ? this.#cancelled(error)
          : error
      })
    await this.#parts.keeper.read()
  }

  #besideOthers(
    wish: { challenge: ChallengeSummary | undefined; explicit: boolean; force: boolean },
    board: SignInBoard | undefined,
  ): MachineParts<TokenSet> | undefined {
    if (!board) return undefined
    const { server, loginCommand, emit } = this.#parts.context
    const required = (why: string) => this.#parts.required(wish.challenge, why)
    const { keeper } = this.#parts
    return besideOthers(
      { server, loginCommand, emit, keeper, limit: this.#parts.runtime.callbackTimeout, required, ...wish },
      board,
    )
  }

  /** Who asks for the same login in the same store shares one sign-in. */
  get #shared(): string {
    return `${identityString(this.#parts.identity)} ${this.#parts.keeper.location}`
  }

  async #perform(
    { challenge, force }: { challenge: ChallengeSummary | undefined; force: boolean },
    parts: Pick<SignInParts, 'receiver' | 'turn'>,
    signal: AbortSignal,
  ): Promise<TokenSet> {
    const { url, headers, settings } = this.#parts.server
    const { keeper } = this.#parts
    await keeper.prepare()
    const [previous, registrations] = [await keeper.read(), await keeper.registrations()]
    const known = { previous, registrations, pinned: await keeper.pinnedIssuer() }
    const result = await signIn(
      { serverUrl: url, headers, settings, challenge, ...known, mayMove: true, force },
      {
        ...parts,
        openUrl: (startUrl) => this.#open(startUrl),
        timeout: this.#parts.runtime.callbackTimeout,
        // Another process may have pinned another one while the person was away; `force` was about the one there was before.
        mayExchange: async (issuer) => {
          if (settings.client_id === undefined) return
          const pinned = await keeper.pinnedIssuer()
          const acceptMove = force && pinned === known.pinned
          assertPinned(issuer, settings, { pinned, acceptMove }, this.#parts.context)
        },
        save: (brought) => keeper.save(brought),
        doubt: (registration) => keeper.doubt(registration),
      },
      { ...this.#parts.context, signal },
    )
    const { emit, server } = this.#parts.context
    emit({ type: 'signed_in', server })
    if (result.tokens.refresh_token === undefined) this.#warnOfNoRefreshToken(result.tokens)
    return result.tokens
  }

  #assertMayAsk(challenge: ChallengeSummary | undefined, explicit: boolean, identity: string): void {
    const { interactive, attended, signInQueue } = this.#parts.runtime
    const mayAsk = interactive === 'always' || (interactive === 'auto' && attended)
    if (!mayAsk) {
      throw this.#parts.required(
        challenge,
        interactive === 'auto' ? 'nobody is at a terminal to ask' : undefined,
      )
    }
    if (!explicit && signInQueue.isCoolingDown(identity)) {
      throw this.#parts.required(challenge, 'a sign-in failed less than a minute ago')
    }
  }

  /** A browser that does not open is not the end: the URL was shown and can be opened by hand. */
  async #open(startUrl: string): Promise<void> {
    const { emit, server } = this.#parts.context
    const { openUrl } = this.#parts.runtime
    try {
      if (!openUrl) throw new UnsupportedError({ message: 'There is no browser to open.' })
      await openUrl(startUrl)
      emit({ type: 'browser_opened', server })
    } catch (error) {
      emit({ type: 'browser_failed', server, reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #warnOfNoRefreshToken({ expires_at, issuer }: TokenSet): void {
    const { emit, server, clock } = this.#parts.context
    const until =
      expires_at === undefined
        ? 'until the server ends it'
        : `for ${Math.max(0, Math.round(expires_at - clock.now() / 1000))} s`
    const message = `${new URL(issuer).host} gave no refresh token: this login lasts ${until} and cannot be renewed without you.`
    emit({ type: 'warning', server, code: 'no_refresh_token', message })
  }

  #cancelled(cause: unknown): SignInCancelledError {
    return new SignInCancelledError({
      message: `The sign-in to ${this.#parts.server.name} was cancelled.`,
      remedy: 'Nothing was stored. Start again when you are ready.',
      server: this.#parts.server.name,
      cause,
    })
  }
}
