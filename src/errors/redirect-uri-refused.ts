import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The authorization server does not accept the redirect URI of this client. */
export class RedirectUriRefusedError extends LatchkeyError {
  override readonly code = 'redirect_uri_refused'
  readonly issuer: string
  /** Byte for byte as it was sent. */
  readonly redirectUri: string

  constructor(init: LatchkeyErrorInit & { issuer: string; redirectUri: string }) {
    super(init)
    this.issuer = init.issuer
    this.redirectUri = init.redirectUri
  }
}
