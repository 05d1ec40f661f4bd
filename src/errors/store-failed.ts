import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** Credentials could not be read, locked or written. */
export class StoreFailedError extends LatchkeyError {
  override readonly code = 'store_failed'
  readonly location: string

  constructor(init: LatchkeyErrorInit & { location: string }) {
    super(init)
    this.location = init.location
  }
}
