import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The MCP session could not be opened, for a reason other than authentication. */
export class ConnectFailedError extends LatchkeyError {
  override readonly code = 'connect_failed'
  readonly server: string

  constructor(init: LatchkeyErrorInit & { server: string }) {
    super(init)
    this.server = init.server
  }
}
