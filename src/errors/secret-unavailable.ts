import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A secret that the configuration says where to find (file, variable, command) could not be read there. */
export class SecretUnavailableError extends LatchkeyError {
  override readonly code = 'secret_unavailable'
  readonly server: string
  /** The key that says where: `auth.assertion_file`. */
  readonly key: string

  constructor(init: LatchkeyErrorInit & { server: string; key: string }) {
    super(init)
    this.server = init.server
    this.key = init.key
  }
}
