import type { EventListener } from '../events.ts'
import type { Clock, SecretReader, ServerNetwork } from '../ports.ts'

/** What every flow works with. It knows no store and no browser. */
export interface FlowContext extends ServerNetwork {
  /** Name of the server in events and messages. */
  readonly server: string
  readonly emit: EventListener
  readonly clock: Clock
  readonly clientName: string
  /** What a person types to sign in to this server, for remedies. */
  readonly loginCommand: string
  /** Absent where there are neither files nor programs. */
  readonly secretReader?: SecretReader | undefined
  readonly signal?: AbortSignal
}
