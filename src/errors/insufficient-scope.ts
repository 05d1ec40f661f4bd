import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The server wants more scope than was granted and asking again is not possible or did not help (RFC 6750 §3.1). */
export class InsufficientScopeError extends LatchkeyError {
  override readonly code = 'insufficient_scope'
  readonly server: string
  /** What the challenge asked for. */
  readonly scope: string | undefined

  constructor(init: LatchkeyErrorInit & { server: string; scope?: string | undefined }) {
    super(init)
    this.server = init.server
    this.scope = init.scope
  }
}
