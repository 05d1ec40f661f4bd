import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The callback port is taken and this client may not choose another one. Thrown before any request to the authorization server. */
export class PortInUseError extends LatchkeyError {
  override readonly code = 'port_in_use'
  readonly port: number
  /** The program that holds it, where that can be known. */
  readonly holder: string | undefined

  constructor(init: LatchkeyErrorInit & { port: number; holder?: string | undefined }) {
    super(init)
    this.port = init.port
    this.holder = init.holder
  }
}
