import type { Authorization, AuthorizationChanged, EventListener } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'

/** How a server that may want OAuth was spoken to: what it lists and allows can depend on it. */
type OAuthAuthorization = Extract<Authorization, 'anonymous' | 'signed_in'>

/**
 * Knows whether a server takes our requests with or without a login. Only answered requests count, in the order they
 * were sent: a 401 is a question, not a state.
 */
export class AuthorizationState {
  readonly #server: string
  readonly #emit: EventListener
  #sent = 0
  #latest = 0
  #known: { readonly authorization: OAuthAuthorization; readonly scope: string | undefined } | undefined
  #changes = 0

  constructor(server: string, emit: EventListener) {
    this.#server = server
    this.#emit = emit
  }

  /** `anonymous` until the server took a request with a token. */
  get now(): OAuthAuthorization {
    return this.#known?.authorization ?? 'anonymous'
  }

  /** Grows whenever somebody else, or the same person with other rights, stands before the server. */
  get changes(): number {
    return this.#changes
  }

  /** To be called when a request is sent; what it returns, when the server did not refuse it for lack of a login. */
  sending(tokens: Pick<TokenSet, 'scope'> | undefined): () => void {
    this.#sent += 1
    const order = this.#sent
    return () => {
      if (order < this.#latest) return
      this.#latest = order
      this.#note(tokens ? 'signed_in' : 'anonymous', tokens?.scope)
    }
  }

  #note(authorization: OAuthAuthorization, scope: string | undefined): void {
    const before = this.#known
    this.#known = { authorization, scope }
    if (!before || (before.authorization === authorization && before.scope === scope)) return
    this.#changes += 1
    const event: AuthorizationChanged = {
      type: 'authorization_changed',
      server: this.#server,
      authorization,
      ...(scope !== undefined && { scope }),
    }
    this.#emit(event)
  }
}
