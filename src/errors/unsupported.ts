import { LatchkeyError } from './base.ts'

/** This platform or program has no part that can do it (no loopback listener, no browser). */
export class UnsupportedError extends LatchkeyError {
  override readonly code = 'unsupported'
}
