import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'
import type { ChallengeSummary } from './login-required.ts'

/** The server wants more scope than was granted and asking again is not possible or did not help (RFC 6750 §3.1). */
export class InsufficientScopeError extends LatchkeyError {
  override readonly code = 'insufficient_scope'
  readonly server: string
  /** What the challenge asked for. */
  readonly scope: string | undefined
  /** What the 403 said, for a sign-in that asks for more. */
  readonly challenge: ChallengeSummary

  constructor(init: LatchkeyErrorInit & { server: string; challenge: ChallengeSummary }) {
    super(init)
    this.server = init.server
    this.scope = init.challenge.scope
    this.challenge = init.challenge
  }
}
