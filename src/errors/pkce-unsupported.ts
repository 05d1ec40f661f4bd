import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The authorization server does not say that it supports PKCE with S256 (MCP authorization, Authorization Code Protection). */
export class PkceUnsupportedError extends LatchkeyError {
  override readonly code = 'pkce_unsupported'
  readonly issuer: string
  /** What its metadata lists. */
  readonly supported: readonly string[] | undefined

  constructor(init: LatchkeyErrorInit & { issuer: string; supported?: readonly string[] | undefined }) {
    super(init)
    this.issuer = init.issuer
    this.supported = init.supported
  }
}
