import { LatchkeyError, type LatchkeyErrorInit } from './base.ts'

/** The configuration says something that cannot be meant. Names the key, what was found and what was expected. */
export class ConfigInvalidError extends LatchkeyError {
  override readonly code = 'config_invalid'
  /** Where it stands: `mcpServers.github.auth.callback_port`. */
  readonly key: string

  constructor(init: LatchkeyErrorInit & { key: string }) {
    super(init)
    this.key = init.key
  }
}
