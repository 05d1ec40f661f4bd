import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The named server is in no configuration. */
export class ServerUnknownError extends LatchkeyError {
  override readonly code = 'server_unknown'
  readonly server: string
  /** The names there are. */
  readonly known: readonly string[]

  constructor(init: LatchkeyErrorInit & { server: string; known: readonly string[] }) {
    super(init)
    this.server = init.server
    this.known = init.known
  }
}
