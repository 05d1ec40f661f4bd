import type { ServerDefinition } from '../definitions.ts'
import {
  type ChallengeSummary,
  CredentialRefusedError,
  type DpopRequiredError,
  InsufficientScopeError,
  isLatchkeyError,
  type LoginRequiredError,
  SignInCancelledError,
  UnsupportedError,
} from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { isUnnamed } from '../errors/shown-url.ts'
import type { FlowContext } from '../flow/context.ts'
import { assertPinned } from '../flow/discover-pinned.ts'
import { missingDpop } from '../flow/dpop.ts'
import { grantClient, usesGrant } from '../flow/grant.ts'
import { networkOptions } from '../flow/network-options.ts'
import { renewalOf } from '../flow/renewal.ts'
import { type Revocation, revoke } from '../flow/revoke.ts'
import { type SignInParts, signIn } from '../flow/sign-in.ts'
import type { TokenSet } from '../flow/token-set.ts'
import type { SignInBoard } from '../ports.ts'
import { type AdoptOutcome, type AdoptWish, adoptLogin } from './adopt-login.ts'
import { AuthorizationState } from './authorization-state.ts'
import { GrantLogin } from './grant-login.ts'
import { type Identity, identityString } from './identity.ts'
import { Keeper } from './keeper.ts'
import { loginCommand, loginRequired } from './login-command.ts'
import type { MachineParts } from './machine-place.ts'
import type { OAuthServer } from './oauth-server.ts'
import type { Runtime } from './runtime.ts'
import { besideOthers } from './sign-in-elsewhere.ts'
import type { Turn } from './sign-in-queue.ts'
import { StepUpLimit } from './step-up-limit.ts'
import { WebLogin } from './web-login.ts'

/** The login of a server of the OAuth method; `undefined` for any other. */
export function serverLogin(definition: ServerDefinition, runtime: Runtime): ServerLogin | undefined {
  if (definition.kind !== 'http' || definition.auth.method !== 'oauth') return undefined
  return new ServerLogin({ ...definition, settings: definition.auth.settings }, runtime)
}

/** What became of a login at its server; `withheld` where the credentials of the configuration do not belong there. */
export type SignOutOutcome = Revocation | 'withheld'

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
  /** The way of a web application, whose person comes back to another process. */
  readonly web: WebLogin
  readonly stepUps = new StepUpLimit()
  readonly authorization: AuthorizationState
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
    this.#context = flowContext(server, this.identity, runtime)
    const { store, emit } = runtime
    this.authorization = new AuthorizationState(server.name, emit)
    this.keeper = new Keeper({
      identity: this.identity,
      settings: server.settings,
      store,
      renewal: renewalOf(server.settings),
      context: this.#context,
    })
    const { settings } = server
    const { identity, keeper } = this
    const timeout = runtime.callbackTimeout
    this.web = new WebLogin({ server, identity, keeper, store, context: this.#context, timeout })
    this.byGrant = usesGrant(settings)
      ? new GrantLogin({ server: { ...server, settings }, keeper: this.keeper, context: this.#context })
      : undefined
  }

  /** Whether what names lead to is judged in this process. */
  get judgesAddresses(): boolean {
    return this.#runtime.judgesAddresses
  }

  /** How often a person has signed in for this identity in this process. */
  get signIns(): number {
    return this.#runtime.signInQueue.completed(this.#shared)
  }

  /** The error for code that may not wait for a person. */
  required(challenge: ChallengeSummary | undefined, why?: string): LoginRequiredError | DpopRequiredError {
    const { account, configuredClientId } = this.identity
    const missing = missingDpop(this.server.name, challenge, this.server.settings)
    if (missing) return missing
    const clientId = isUnnamed(this.server) ? configuredClientId : null
    return loginRequired(this.server.name, { account, clientId, challenge, ...(why && { why }) })
  }

  /** The error for a request that needs more scope than the login has (RFC 6750 §3.1). */
  lacksScope(challenge: ChallengeSummary): InsufficientScopeError {
    const { name } = this.server
    return new InsufficientScopeError({
      message: `${name} wants more scope than this login has${challenge.scope ? `: ${quoteServerText(challenge.scope)}` : ''}.`,
      remedy: this.byGrant
        ? remedyForGrant(this.byGrant.mayAsk(challenge.scope))
        : `Add the scope to \`auth.scope\` (or \`--scope\`) beside what is there, and run: ${this.#context.loginCommand}`,
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

  /** The error for a proof of possession that is refused: neither another token nor another sign-in would help. */
  refusesProof(error: string): CredentialRefusedError {
    return new CredentialRefusedError({
      message: `${this.server.name} refused the proof of possession (HTTP 401, ${error}).`,
      remedy:
        'Compare the clock of this machine: proofs are good for a few minutes only. Else the address it is reached by is not the one it knows itself by (a proxy), which its operator has to look into.',
      server: this.server.name,
      status: 401,
      scheme: 'dpop',
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
    const { signInQueue, signInBoard, receiver, emit } = this.#runtime
    const identity = this.#shared
    // Another client of this process may have stored what this one has not read yet.
    if (since !== undefined && since !== this.signIns) return void (await this.keeper.read())
    this.#assertMayAsk(challenge, explicit, identity)
    if (!receiver) {
      throw new UnsupportedError({
        message: `This platform cannot take the answer of a sign-in to ${this.server.name}.`,
        remedy: 'Sign in where latchkey runs under Node, or use a bearer token.',
      })
    }
    const signals = [signal, this.#runtime.signal].filter((each) => each !== undefined)
    const perform = (ended: AbortSignal, turn: Turn) =>
      this.#perform({ challenge, force }, { receiver, turn }, ended)
    await signInQueue
      .run({
        identity,
        server: this.server.name,
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
    await this.keeper.read()
  }

  #besideOthers(
    wish: { challenge: ChallengeSummary | undefined; explicit: boolean; force: boolean },
    board: SignInBoard | undefined,
  ): MachineParts<TokenSet> | undefined {
    if (!board) return undefined
    const { server, loginCommand, emit } = this.#context
    const required = (why: string) => this.required(wish.challenge, why)
    const { keeper } = this
    return besideOthers(
      { server, loginCommand, emit, keeper, limit: this.#runtime.callbackTimeout, required, ...wish },
      board,
    )
  }

  /** Takes over a login that another program keeps. @throws what discovery and a refresh throw */
  adopt(wish: AdoptWish): Promise<AdoptOutcome> {
    const { server, identity, keeper } = this
    return adoptLogin(wish, { server, identity, keeper, store: this.#runtime.store, context: this.#context })
  }

  /** Revokes where the server can, then deletes. `undefined` when there was no login. */
  async signOut(): Promise<SignOutOutcome | undefined> {
    const { settings } = this.server
    const { keeper } = this
    const ended = await keeper.end<SignOutOutcome>(async (tokens) => {
      if (!(await keeper.isOfPinnedIssuer(tokens))) return 'withheld'
      const proofOf = async () =>
        usesGrant(settings)
          ? (await grantClient(settings, [tokens.token_endpoint_auth_method], this.#context)).client
          : { client_secret: tokens.client_secret ?? settings.client_secret }
      return revoke(tokens, proofOf, this.#context)
    })
    if (!ended) return undefined
    const { tokens, outcome } = ended
    const { emit, server } = this.#context
    if (outcome === 'failed' || outcome === 'withheld') {
      const why =
        outcome === 'failed'
          ? 'could not be revoked'
          : 'was not revoked, as the credentials under `auth` belong to another authorization server and were not sent'
      const message = `The login at ${new URL(tokens.issuer).host} ${why}; it was only deleted here. It ends there by itself, or in your account settings.`
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
    parts: Pick<SignInParts, 'receiver' | 'turn'>,
    signal: AbortSignal,
  ): Promise<TokenSet> {
    const { url, headers, settings } = this.server
    const { keeper } = this
    await keeper.prepare()
    const [previous, registrations] = [await keeper.read(), await keeper.registrations()]
    const known = { previous, registrations, pinned: await keeper.pinnedIssuer() }
    const result = await signIn(
      { serverUrl: url, headers, settings, challenge, ...known, mayMove: true, force: force ?? false },
      {
        ...parts,
        openUrl: (startUrl) => this.#open(startUrl),
        timeout: this.#runtime.callbackTimeout,
        // Another process may have pinned another one while the person was away; `force` was about the one there was before.
        mayExchange: async (issuer) => {
          if (settings.client_id === undefined) return
          const pinned = await keeper.pinnedIssuer()
          const acceptMove = force === true && pinned === known.pinned
          assertPinned(issuer, settings, { pinned, acceptMove }, this.#context)
        },
        save: (brought) => keeper.save(brought),
        doubt: (registration) => keeper.doubt(registration),
      },
      { ...this.#context, signal },
    )
    const { emit, server } = this.#context
    emit({ type: 'signed_in', server })
    if (result.tokens.refresh_token === undefined) this.#warnOfNoRefreshToken(result.tokens)
    return result.tokens
  }

  #assertMayAsk(challenge: ChallengeSummary | undefined, explicit: boolean, identity: string): void {
    const { interactive, attended, signInQueue } = this.#runtime
    const mayAsk = interactive === 'always' || (interactive === 'auto' && attended)
    if (!mayAsk) {
      throw this.required(challenge, interactive === 'auto' ? 'nobody is at a terminal to ask' : undefined)
    }
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

function remedyForGrant(mayAsk: boolean): string {
  return mayAsk
    ? 'The authorization server does not give it to this client: let it be allowed there, or leave the operation out.'
    : 'Nothing wider than `auth.scope` is asked for. If this program is to have it, add it there.'
}

function flowContext(server: OAuthServer, identity: Identity, runtime: Runtime): FlowContext {
  const { network, clock, emit, clientName, secretReader } = runtime
  const { name, url, settings } = server
  return {
    ...network(name, url, networkOptions(settings)),
    server: name,
    emit,
    clock,
    clientName,
    secretReader,
    loginCommand: loginCommand(
      name,
      identity.account,
      isUnnamed(server) ? identity.configuredClientId : null,
    ),
  }
}
