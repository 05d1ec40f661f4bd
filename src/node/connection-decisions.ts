import { channel } from 'node:diagnostics_channel'
import type { Reach } from '../ports.ts'

/** What was decided about a connection that is about to be made. */
export interface ConnectionDecision {
  readonly hostname: string
  readonly reach: Reach
  /** Told before the name is resolved. */
  readonly port?: number
  /** Told once it is: the addresses that may be connected to. */
  readonly addresses?: readonly string[]
}

const decisions = channel('latchkey:connection')

/** Tells whoever observes this process (`node:diagnostics_channel`, `latchkey:connection`). */
export function tellDecision(decision: ConnectionDecision): void {
  decisions.publish(decision)
}
