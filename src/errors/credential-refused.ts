import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The server refused a bearer token, header or custom credential of the configuration. Never starts OAuth. */
export class CredentialRefusedError extends LatchkeyError {
  override readonly code = 'credential_refused'
  readonly server: string
  readonly status: number
  /** The scheme the server asked for instead. */
  readonly scheme: string | undefined

  constructor(init: LatchkeyErrorInit & { server: string; status: number; scheme?: string | undefined }) {
    super(init)
    this.server = init.server
    this.status = init.status
    this.scheme = init.scheme
  }
}
