import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** Nobody finished the sign-in in time. */
export class SignInTimedOutError extends LatchkeyError {
  override readonly code = 'sign_in_timed_out'
  readonly server: string
  readonly seconds: number

  constructor(init: LatchkeyErrorInit & { server: string; seconds: number }) {
    super(init)
    this.server = init.server
    this.seconds = init.seconds
  }
}
