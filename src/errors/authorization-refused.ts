import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The authorization endpoint answered with an error (RFC 6749 §4.1.2.1). `access_denied` means that the person said no. */
export class AuthorizationRefusedError extends LatchkeyError {
  override readonly code = 'authorization_refused'
  readonly issuer: string
  readonly error: string

  constructor(init: LatchkeyErrorInit & { issuer: string; error: string }) {
    super(init)
    this.issuer = init.issuer
    this.error = init.error
  }
}
