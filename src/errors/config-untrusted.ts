import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** A configuration file that nobody vouched for wants something only a trusted file may have (a variable, being used from the working directory). */
export class ConfigUntrustedError extends LatchkeyError {
  override readonly code = 'config_untrusted'
  readonly path: string

  constructor(init: LatchkeyErrorInit & { path: string }) {
    super(init)
    this.path = init.path
  }
}
