import type { ErrorCode } from './error-code.ts'

/** The same in every copy of the package. */
const BRAND = Symbol.for('latchkey.error')

export interface LatchkeyErrorInit {
  /** What happened, one sentence. Never holds a secret. */
  message: string
  /** The command or setting that fixes it. Becomes part of `message`. */
  remedy?: string
  cause?: unknown
}

/**
 * Base of every error latchkey throws. Branch on `code`, show `message`: it ends with the remedy.
 */
export abstract class LatchkeyError extends Error {
  abstract readonly code: ErrorCode
  /** What to do about it, or `''` where nothing can be done on this side. */
  readonly remedy: string
  /** `message` without the remedy. */
  readonly summary: string

  constructor({ message, remedy = '', cause }: LatchkeyErrorInit) {
    super(remedy ? `${message}\n${remedy}` : message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.summary = message
    this.remedy = remedy
  }

  get [BRAND](): true {
    return true
  }

  /** The MCP SDK wraps whatever its version probe throws, except what carries this mark: ours must arrive as it is. */
  get [Symbol.for('mcp.authSeamEscape')](): true {
    return true
  }

  /** The data of the error without stack and cause, for `--json` and logs. */
  toJSON(): Record<string, unknown> {
    const {
      name: _name,
      summary,
      remedy,
      stack: _stack,
      cause: _cause,
      code,
      ...fields
    } = { ...this } as Record<string, unknown>
    return { code: this.code, message: summary, remedy, ...fields }
  }
}

/** True for every error of latchkey, also from another copy of the package. */
export function isLatchkeyError(error: unknown): error is LatchkeyError {
  return error instanceof Error && BRAND in error
}
