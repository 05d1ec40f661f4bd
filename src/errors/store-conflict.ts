import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A record changed between our read and our write: somebody else was faster. Read it again. */
export class StoreConflictError extends LatchkeyError {
  override readonly code = 'store_conflict'
  readonly location: string

  constructor(init: LatchkeyErrorInit & { location: string }) {
    super(init)
    this.location = init.location
  }
}
