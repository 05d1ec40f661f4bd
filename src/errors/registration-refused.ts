import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The authorization server refused the dynamic registration (RFC 7591 §3.2.2). */
export class RegistrationRefusedError extends LatchkeyError {
  override readonly code = 'registration_refused'
  readonly issuer: string
  readonly status: number
  /** The OAuth error code. */
  readonly error: string | undefined
  readonly redirectUri: string

  constructor(
    init: LatchkeyErrorInit & {
      issuer: string
      status: number
      error?: string | undefined
      redirectUri: string
    },
  ) {
    super(init)
    this.issuer = init.issuer
    this.status = init.status
    this.error = init.error
    this.redirectUri = init.redirectUri
  }
}
