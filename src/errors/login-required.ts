import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** What the server said when it asked for authentication; carried to the sign-in so that it need not ask twice. */
export interface ChallengeSummary {
  /** 401 or 403. Only a 403 can ask for more scope than there is. */
  status?: number
  scheme: string | undefined
  resource_metadata?: string
  scope?: string
  error?: string
}

/**
 * A person has to sign in and this code path may not ask for it. Sign in with the command in `remedy`, or `login()`.
 *
 * `name` is `UnauthorizedError`: the one name that the MCP SDK's version probe passes through unchanged.
 */
export class LoginRequiredError extends LatchkeyError {
  override readonly code = 'login_required'
  readonly server: string
  readonly challenge: ChallengeSummary | undefined

  constructor(init: LatchkeyErrorInit & { server: string; challenge?: ChallengeSummary | undefined }) {
    super(init)
    this.name = 'UnauthorizedError'
    this.server = init.server
    this.challenge = init.challenge
  }
}
