import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The token endpoint answered with an OAuth error (RFC 6749 §5.2). */
export class TokenRequestRefusedError extends LatchkeyError {
  override readonly code = 'token_request_refused'
  readonly issuer: string
  /** The OAuth error code: `invalid_grant`. */
  readonly error: string
  readonly status: number

  constructor(init: LatchkeyErrorInit & { issuer: string; error: string; status: number }) {
    super(init)
    this.issuer = init.issuer
    this.error = init.error
    this.status = init.status
  }
}
