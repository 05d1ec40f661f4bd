import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** One URL that discovery asked. */
export interface DiscoveryAttempt {
  url: string
  /** HTTP status, or `undefined` when there was no answer. */
  status: number | undefined
  contentType: string | undefined
  /** Why it was not used: `not found`, `not JSON`, `issuer is "…"`. */
  outcome: string
}

/** No usable authorization server metadata was found. Lists every URL asked, in order. */
export class DiscoveryFailedError extends LatchkeyError {
  override readonly code = 'discovery_failed'
  /** URL of the MCP server. */
  readonly server: string
  readonly attempts: readonly DiscoveryAttempt[]

  constructor(init: LatchkeyErrorInit & { server: string; attempts: readonly DiscoveryAttempt[] }) {
    super(init)
    this.server = init.server
    this.attempts = init.attempts
  }
}
