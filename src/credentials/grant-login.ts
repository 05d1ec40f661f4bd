import { type ChallengeSummary, TokenRequestRefusedError } from '../errors/index.ts'
import type { FlowContext } from '../flow/context.ts'
import { discoverPinned } from '../flow/discover-pinned.ts'
import type { GrantSettings } from '../flow/grant.ts'
import { obtainToken } from '../flow/obtain-token.ts'
import { withinPreparationLimit } from '../flow/preparation-limit.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { asksForMoreScope } from '../oauth/challenge.ts'
import { coversScope, unionScope } from '../oauth/scope.ts'
import type { Keeper } from './keeper.ts'

export interface GrantLoginParts {
  readonly server: {
    readonly url: string
    readonly headers: Readonly<Record<string, string>>
    readonly settings: GrantSettings
  }
  readonly keeper: Keeper
  readonly context: FlowContext
}

/** So often a wider token is asked for one operation that is refused all the same: a server could go on naming scopes. */
const PER_OPERATION = 2

/** A login without a person: what to do about a 401 or 403 with the credentials of the configuration. */
export class GrantLogin {
  readonly #parts: GrantLoginParts
  /** Scopes that the authorization server would not hear of: asked for once. */
  readonly #refusedScopes = new Set<string>()
  /** How often a wider token was asked for the sake of an operation, since it was last let in. */
  readonly #widened = new Map<string, number>()

  constructor(parts: GrantLoginParts) {
    this.#parts = parts
  }

  /**
   * A token where there is none; the server is asked what it wants where no 401 has said so.
   *
   * @throws every code of discovery and of the grant, `issuer_mismatch`
   */
  obtain(challenge: ChallengeSummary | undefined): Promise<TokenSet> {
    return this.#parts.keeper.obtain(
      () => true,
      (previous) => this.#get(challenge, previous),
    )
  }

  /**
   * A new token in any case: `login`.
   *
   * @param acceptIssuer the authorization server may be another than before
   */
  async signIn(acceptIssuer: boolean): Promise<void> {
    const { keeper, context } = this.#parts
    await keeper.obtain(
      () => false,
      (previous) => this.#get(undefined, acceptIssuer ? undefined : previous, acceptIssuer),
    )
    context.emit({ type: 'signed_in', server: context.server })
  }

  /** Whether `scope` may be asked for: a configured one is all that the credentials are to be used for. */
  mayAsk(scope: string | undefined): boolean {
    const configured = unionScope(this.#parts.server.settings.scope)
    return configured === undefined || coversScope(configured, scope)
  }

  /**
   * A token with the scope that a 403 asks for, besides what was asked for before. `undefined` when `used`, the token
   * that was refused, was asked for with it, when nothing or more than may be asked for is named, and when the
   * operation had its tries: then the error stands.
   */
  async widen(
    challenge: ChallengeSummary,
    used: TokenSet | undefined,
    operation: string,
  ): Promise<TokenSet | undefined> {
    const { scope } = challenge
    if (!asksForMoreScope(challenge) || !scope || !this.mayAsk(scope)) return undefined
    const tries = this.#widened.get(operation) ?? 0
    if (this.#refusedScopes.has(scope) || tries >= PER_OPERATION) return undefined
    const { keeper } = this.#parts
    const has = ({ requested_scope }: TokenSet) => coversScope(requested_scope, scope)
    if (!used || has(used)) return undefined
    this.#widened.set(operation, tries + 1)
    try {
      return await keeper.obtain(has, (previous) => this.#get(challenge, previous))
    } catch (refusal) {
      if (!(refusal instanceof TokenRequestRefusedError)) throw refusal
      this.#refusedScopes.add(scope)
      return undefined
    }
  }

  /** The operation was let in with a wider token: it has all its tries again. */
  letIn(operation: string): void {
    this.#widened.delete(operation)
  }

  /** The error for a token that is refused although it is new: the server has another authorization server now, or else. */
  async refused(challenge: ChallengeSummary, otherwise: (cause: unknown) => Error): Promise<Error> {
    const { server, keeper, context } = this.#parts
    const { url: serverUrl, settings } = server
    const pinned = await keeper.pinnedIssuer()
    try {
      await withinPreparationLimit(serverUrl, context, (limited) =>
        discoverPinned({ serverUrl, settings, challenge, pinned }, limited),
      )
    } catch (error) {
      if ((error as { code?: unknown }).code === 'issuer_mismatch') return error as Error
      return otherwise(error)
    }
    return otherwise(undefined)
  }

  async #get(
    challenge: ChallengeSummary | undefined,
    previous: TokenSet | undefined,
    acceptMove = false,
  ): Promise<TokenSet> {
    const { server, keeper, context } = this.#parts
    const { url: serverUrl, headers, settings } = server
    const pinned = await keeper.pinnedIssuer()
    return obtainToken({ serverUrl, headers, settings, challenge, previous, pinned, acceptMove }, context)
  }
}
