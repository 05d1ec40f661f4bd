import type { EventListener } from '../events.ts'
import type {
  Clock,
  CredentialStore,
  NetworkOptions,
  RedirectReceiver,
  SecretReader,
  ServerNetwork,
  SignInBoard,
} from '../ports.ts'
import type { SignInQueue } from './sign-in-queue.ts'

/** Who may open a browser. `auto`: a foreground act, when stderr is a terminal or the program passed `openUrl`. */
export type Interactive = 'auto' | 'always' | 'never'

/** The platform and the caller's options in one piece: made once for a client, an authorized fetch or a command. */
export interface Runtime {
  readonly network: (server: string, serverUrl: string, options?: NetworkOptions) => ServerNetwork
  /** Whether what names lead to is judged; else a proxy or the caller's own `fetch` resolves them. */
  readonly judgesAddresses: boolean
  readonly clock: Clock
  readonly store: CredentialStore
  readonly receiver: RedirectReceiver | undefined
  readonly secretReader: SecretReader | undefined
  readonly openUrl: ((url: string) => Promise<void>) | undefined
  /** Whether `auto` may ask a person. */
  readonly attended: boolean
  readonly interactive: Interactive
  readonly emit: EventListener
  readonly signInQueue: SignInQueue
  /** `undefined` where no other process can be met. */
  readonly signInBoard: () => SignInBoard | undefined
  /** `client_name` of registrations. */
  readonly clientName: string
  /** Milliseconds a person has for a sign-in. Default 300,000. */
  readonly callbackTimeout: number
  /** The account of servers that name none themselves. */
  readonly account: string | undefined
  readonly signal: AbortSignal | undefined
}
