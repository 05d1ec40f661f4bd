import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The authorization response is not the answer to our request: wrong or missing parameter. */
export class AuthorizationResponseInvalidError extends LatchkeyError {
  override readonly code = 'authorization_response_invalid'
  readonly parameter: string

  constructor(init: LatchkeyErrorInit & { parameter: string }) {
    super(init)
    this.parameter = init.parameter
  }
}
