import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** Protected resource metadata speaks for another resource (RFC 9728 §3.3). */
export class ResourceMismatchError extends LatchkeyError {
  override readonly code = 'resource_mismatch'
  readonly server: string
  readonly resource: string

  constructor(init: LatchkeyErrorInit & { server: string; resource: string }) {
    super(init)
    this.server = init.server
    this.resource = init.resource
  }
}
