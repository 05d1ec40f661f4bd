import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A metadata document or an authorization response names another issuer than the one asked (RFC 8414 §3.3, RFC 9207 §2.4). */
export class IssuerMismatchError extends LatchkeyError {
  override readonly code = 'issuer_mismatch'
  readonly expected: string
  readonly actual: string | undefined

  constructor(init: LatchkeyErrorInit & { expected: string; actual?: string | undefined }) {
    super(init)
    this.expected = init.expected
    this.actual = init.actual
  }
}
