import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A request got no answer, or only an answer of the 5xx / 429 kind, after all tries. Nothing stored was changed. */
export class NetworkFailedError extends LatchkeyError {
  override readonly code = 'network_failed'
  readonly url: string
  /** Of the last answer, if there was one. */
  readonly status: number | undefined

  constructor(init: LatchkeyErrorInit & { url: string; status?: number | undefined }) {
    super(init)
    this.url = init.url
    this.status = init.status
  }
}
