import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The sign-in was cancelled by the program or the person (signal, Ctrl-C). */
export class SignInCancelledError extends LatchkeyError {
  override readonly code = 'sign_in_cancelled'
  readonly server: string

  constructor(init: LatchkeyErrorInit & { server: string }) {
    super(init)
    this.server = init.server
  }
}
