import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A URL that a server chose may not be requested or opened. */
export class UrlRefusedError extends LatchkeyError {
  override readonly code = 'url_refused'
  /** Without user info and query. */
  readonly url: string
  /** What it was to be used for: `token_endpoint`. */
  readonly purpose: string

  constructor(init: LatchkeyErrorInit & { url: string; purpose: string }) {
    super(init)
    this.url = init.url
    this.purpose = init.purpose
  }
}
