import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** No client is configured and the authorization server registers none by itself. */
export class RegistrationUnavailableError extends LatchkeyError {
  override readonly code = 'registration_unavailable'
  readonly issuer: string
  /** The exact redirect URI to register by hand. */
  readonly redirectUri: string

  constructor(init: LatchkeyErrorInit & { issuer: string; redirectUri: string }) {
    super(init)
    this.issuer = init.issuer
    this.redirectUri = init.redirectUri
  }
}
