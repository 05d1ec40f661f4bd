import type { ServerDefinition } from '../definitions.ts'
import {
  type ChallengeSummary,
  CredentialRefusedError,
  type DpopRequiredError,
  InsufficientScopeError,
  type LoginRequiredError,
} from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { isUnnamed } from '../errors/shown-url.ts'
import type { FlowContext } from '../flow/context.ts'
import { missingDpop } from '../flow/dpop.ts'
import { usesGrant } from '../flow/grant.ts'
import { networkOptions } from '../flow/network-options.ts'
import { renewalOf } from '../flow/renewal.ts'
import { type AdoptOutcome, type AdoptWish, adoptLogin } from './adopt-login.ts'
import { AuthorizationState } from './authorization-state.ts'
import { GrantLogin } from './grant-login.ts'
import type { Identity } from './identity.ts'
import { Keeper } from './keeper.ts'
import { loginCommand, loginRequired } from './login-command.ts'
import type { OAuthServer } from './oauth-server.ts'
import { PersonLogin, type SignInWish } from './person-login.ts'
import type { Runtime } from './runtime.ts'
import { type SignOutOutcome, signOut } from './sign-out.ts'
import { StepUpLimit } from './step-up-limit.ts'
import { WebLogin } from './web-login.ts'

/** The login of a server of the OAuth method; `undefined` for any other. */
export function serverLogin(definition: ServerDefinition, runtime: Runtime): ServerLogin | undefined {
  if (definition.kind !== 'http' || definition.auth.method !== 'oauth') return undefined
  return new ServerLogin({ ...definition, settings: definition.auth.settings }, runtime)
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
  readonly #byPerson: PersonLogin
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
    const required = (challenge: ChallengeSummary | undefined, why?: string) => this.required(challenge, why)
    this.#byPerson = new PersonLogin({ server, identity, keeper, runtime, context: this.#context, required })
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
    return this.#byPerson.completed
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
    this.#byPerson.coolDown()
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
   * Signs in by the way of this server, and stores the outcome: without a person where there is a grant.
   *
   * @throws `login_required` when nobody may be asked, `sign_in_cancelled`, and every code of the flow
   */
  signIn(wish: SignInWish = {}): Promise<void> {
    return this.byGrant ? this.byGrant.signIn(wish.force ?? false) : this.#byPerson.signIn(wish)
  }

  /** Takes over a login that another program keeps. @throws what discovery and a refresh throw */
  adopt(wish: AdoptWish): Promise<AdoptOutcome> {
    const { server, identity, keeper } = this
    return adoptLogin(wish, { server, identity, keeper, store: this.#runtime.store, context: this.#context })
  }

  /** Revokes where the server can, then deletes. `undefined` when there was no login. */
  signOut(): Promise<SignOutOutcome | undefined> {
    return signOut(this.server, this.keeper, this.#context)
  }
}

function remedyForGrant(mayAsk: boolean): string {
  return mayAsk
    ? 'What may be asked for was asked for, and it was not enough: let this client have the scope at the authorization server, or leave the operation out.'
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
