import type { HttpServerDefinition, OAuthSettings } from '../definitions.ts'
import {
  type ChallengeSummary,
  CredentialRefusedError,
  InsufficientScopeError,
  isLatchkeyError,
  SignInCancelledError,
  UnsupportedError,
} from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import type { FlowContext } from '../flow/context.ts'
import { grantClient, usesGrant } from '../flow/grant.ts'
import { renewalOf } from '../flow/renewal.ts'
import { type Revocation, revoke } from '../flow/revoke.ts'
import { signIn } from '../flow/sign-in.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { GrantLogin } from './grant-login.ts'
import { type Identity, identityString } from './identity.ts'
import { Keeper } from './keeper.ts'
import { loginRequired } from './login-command.ts'
import type { Runtime } from './runtime.ts'
import { StepUpLimit } from './step-up-limit.ts'

/** A server of the OAuth method. */
export type OAuthServer = Pick<HttpServerDefinition, 'name' | 'url' | 'headers'> & {
  readonly settings: OAuthSettings
}

export interface SignInWish {
  /** What the 401 or 403 said that made the sign-in necessary. */
  readonly challenge?: ChallengeSummary | undefined
  /** Asked for by name (`login`): no cool-down. */
  readonly explicit?: boolean
  /** Ask the person again although the authorization server may remember them; register anew. */
  readonly force?: boolean
  /** {@link ServerLogin.signIns} before the request that was refused: a sign-in since then is taken as the answer. */
  readonly since?: number
  readonly signal?: AbortSignal | undefined
}

/** The login of one identity: its stored tokens, and the ways to begin and to end it. */
export class ServerLogin {
  readonly server: OAuthServer
  readonly identity: Identity
  readonly keeper: Keeper
  /** The way without a person, where the configuration names a grant: then nobody is ever asked. */
  readonly byGrant: GrantLogin | undefined
  readonly stepUps = new StepUpLimit()
  readonly #runtime: Runtime
  readonly #context: FlowContext

  constructor(server: OAuthServer, runtime: Runtime) {
    this.server = server
    this.#runtime = runtime
    this.identity = {
      serverUrl: server.url,
      account: server.settings.account ?? runtime.account ?? null,
      configuredClientId: server.settings.client_id ?? null,
    }
    this.#context = flowContext(server, runtime)
    const { store } = runtime
    this.keeper = new Keeper({
      identity: this.identity,
      settings: server.settings,
      store,
      renewal: renewalOf(server.settings),
      context: this.#context,
    })
    const { settings } = server
    this.byGrant = usesGrant(settings)
      ? new GrantLogin({ server: { ...server, settings }, keeper: this.keeper, context: this.#context })
      : undefined
  }

  /** How often a person has signed in for this identity in this process. */
  get signIns(): number {
    return this.#runtime.signInQueue.completed(this.#shared)
  }

  /** The error for code that may not wait for a person. */
  required(challenge: ChallengeSummary | undefined, why?: string): Error {
    const { account, configuredClientId } = this.identity
    const { name, url } = this.server
    const clientId = name === url ? configuredClientId : null
    return loginRequired(name, { account, clientId, challenge, ...(why && { why }) })
  }

  /** The error for a request that needs more scope than the login has (RFC 6750 §3.1). */
  lacksScope(challenge: ChallengeSummary): InsufficientScopeError {
    const { name } = this.server
    return new InsufficientScopeError({
      message: `${name} wants more scope than this login has${challenge.scope ? `: ${quoteServerText(challenge.scope)}` : ''}.`,
      remedy: this.byGrant
        ? 'The authorization server does not give it to this client: let it be allowed there, or leave the operation out.'
        : 'Add the scope to `auth.scope` (or `--scope`) beside what is there, and sign in again with `latchkey login`.',
      server: name,
      challenge,
    })
  }

  /** The error for a token that was issued a moment ago and is refused: asking the person again would not help. */
  refused(cause: unknown): CredentialRefusedError {
    this.#runtime.signInQueue.coolDown(this.#shared)
    return new CredentialRefusedError({
      message: `${this.server.name} refused the access token it was just given (HTTP 401).`,
      remedy:
        'The authorization server and the MCP server do not agree (audience, issuer, clock). Compare `resource` in `latchkey status` with what the server expects; `auth.resource` overrides it.',
      server: this.server.name,
      status: 401,
      cause,
    })
  }

  /**
   * Signs a person in and stores the outcome. Waits its turn; all who ask for this identity share one sign-in.
   *
   * @throws `login_required` when nobody may be asked, `sign_in_cancelled`, and every code of the flow
   */
  async signIn({
    challenge,
    explicit = false,
    force = false,
    since,
    signal,
  }: SignInWish = {}): Promise<void> {
    if (this.byGrant) return this.byGrant.signIn(force)
    const { signInQueue, receiver, emit } = this.#runtime
    const identity = this.#shared
    if (since !== undefined && since !== this.signIns) return
    this.#assertMayAsk(challenge, explicit, identity)
    if (!receiver) {
      throw new UnsupportedError({
        message: `This platform cannot take the answer of a sign-in to ${this.server.name}.`,
        remedy: 'Sign in where latchkey runs under Node, or use a bearer token.',
      })
    }
    const signals = [signal, this.#runtime.signal].filter((each) => each !== undefined)
    const perform = (ended: AbortSignal) => this.#perform({ challenge, force }, receiver, ended)
    await signInQueue
      .run({
        identity,
        server: this.server.name,
        emit,
        perform,
        ...(signals.length > 0 && { signal: AbortSignal.any(signals) }),
      })
      .catch((error: unknown) => {
        throw signals.some(({ aborted }) => aborted) && !isLatchkeyError(error)
          ? this.#cancelled(error)
          : error
      })
  }

  /** Revokes where the server can, then deletes. `undefined` when there was no login. */
  async signOut(): Promise<Revocation | undefined> {
    const tokens = await this.keeper.read()
    if (!tokens) {
      await this.keeper.forget()
      return undefined
    }
    const { emit, server } = this.#context
    const { settings } = this.server
    const proofOf = async () =>
      usesGrant(settings)
        ? (await grantClient(settings, [tokens.token_endpoint_auth_method], this.#context)).client
        : { client_secret: tokens.client_secret ?? settings.client_secret }
    const outcome = await revoke(tokens, proofOf, this.#context)
    await this.keeper.forget()
    if (outcome === 'failed') {
      const message = `The login at ${new URL(tokens.issuer).host} could not be revoked; it was only deleted here. It ends there by itself, or in your account settings.`
      emit({ type: 'warning', server, code: 'not_revoked', message })
    }
    emit({ type: 'signed_out', server, revoked: outcome === 'revoked' })
    return outcome
  }

  /** Who asks for the same login in the same store shares one sign-in. */
  get #shared(): string {
    return `${identityString(this.identity)} ${this.keeper.location}`
  }

  async #perform(
    { challenge, force }: Pick<SignInWish, 'challenge' | 'force'>,
    receiver: NonNullable<Runtime['receiver']>,
    signal: AbortSignal,
  ): Promise<TokenSet> {
    const { url, headers, settings } = this.server
    const [previous, registrations] = [await this.keeper.read(), await this.keeper.registrations()]
    const result = await signIn(
      { serverUrl: url, headers, settings, challenge, previous, registrations, force: force ?? false },
      { receiver, openUrl: (startUrl) => this.#open(startUrl), timeout: this.#runtime.callbackTimeout },
      { ...this.#context, signal },
    )
    await this.keeper.save(result)
    const { emit, server } = this.#context
    emit({ type: 'signed_in', server })
    if (result.tokens.refresh_token === undefined) this.#warnOfNoRefreshToken(result.tokens)
    return result.tokens
  }

  #assertMayAsk(challenge: ChallengeSummary | undefined, explicit: boolean, identity: string): void {
    const { interactive, attended, signInQueue } = this.#runtime
    if (interactive === 'never') throw this.required(challenge)
    if (interactive === 'auto' && !attended) throw this.required(challenge, 'nobody is at a terminal to ask')
    if (!explicit && signInQueue.isCoolingDown(identity)) {
      throw this.required(challenge, 'a sign-in failed less than a minute ago')
    }
  }

  /** A browser that does not open is not the end: the URL was shown and can be opened by hand. */
  async #open(startUrl: string): Promise<void> {
    const { emit, server } = this.#context
    const { openUrl } = this.#runtime
    try {
      if (!openUrl) throw new UnsupportedError({ message: 'There is no browser to open.' })
      await openUrl(startUrl)
      emit({ type: 'browser_opened', server })
    } catch (error) {
      emit({ type: 'browser_failed', server, reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #warnOfNoRefreshToken({ expires_at, issuer }: TokenSet): void {
    const { emit, server, clock } = this.#context
    const until =
      expires_at === undefined
        ? 'until the server ends it'
        : `for ${Math.max(0, Math.round(expires_at - clock.now() / 1000))} s`
    const message = `${new URL(issuer).host} gave no refresh token: this login lasts ${until} and cannot be renewed without you.`
    emit({ type: 'warning', server, code: 'no_refresh_token', message })
  }

  #cancelled(cause: unknown): SignInCancelledError {
    return new SignInCancelledError({
      message: `The sign-in to ${this.server.name} was cancelled.`,
      remedy: 'Nothing was stored. Start again when you are ready.',
      server: this.server.name,
      cause,
    })
  }
}

function flowContext(
  { name, url }: OAuthServer,
  { network, clock, emit, clientName, secretReader }: Runtime,
): FlowContext {
  return { ...network(name, url), server: name, emit, clock, clientName, secretReader }
}
