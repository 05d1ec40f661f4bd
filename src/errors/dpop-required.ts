import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The server takes only tokens that are bound to a key (DPoP, RFC 9449), and `auth.dpop` is not set. */
export class DpopRequiredError extends LatchkeyError {
  override readonly code = 'dpop_required'
  readonly server: string

  constructor(init: LatchkeyErrorInit & { server: string }) {
    super(init)
    this.server = init.server
  }
}
