import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** An authorization server answered something that is not what the specification describes, and not a readable error either. */
export class ResponseInvalidError extends LatchkeyError {
  override readonly code = 'response_invalid'
  readonly url: string
  readonly status: number | undefined
  readonly contentType: string | undefined

  constructor(
    init: LatchkeyErrorInit & { url: string; status?: number | undefined; contentType?: string | undefined },
  ) {
    super(init)
    this.url = init.url
    this.status = init.status
    this.contentType = init.contentType
  }
}
