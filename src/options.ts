import { createMemoryStore } from './credentials/memory-store.ts'
import type { Interactive, Runtime } from './credentials/runtime.ts'
import type { SignInQueue } from './credentials/sign-in-queue.ts'
import type { EventListener } from './events.ts'
import type { McpPlatform } from './mcp/sdk.ts'
import type { SessionOptions } from './mcp/session-options.ts'
import { createNetwork } from './net/network.ts'
import type { CredentialStore, Fetch, Platform } from './ports.ts'
import { VERSION } from './version.ts'

/** What a program may set; everything has a default. */
export interface LatchkeyOptions extends SessionOptions {
  /** Which of several identities at a server; `auth.account` of a server comes first. @default the unnamed one */
  readonly account?: string
  /** Who may open a browser. @default 'auto': foreground acts, at a terminal or with `openUrl` */
  readonly interactive?: Interactive
  /** Where credentials rest. @default 'file' under Node, 'memory' elsewhere */
  readonly store?: CredentialStore | 'file' | 'memory'
  /** Opens a URL for the person instead of the system's browser. Rejecting is not the end: the URL is in the events. */
  readonly openUrl?: (url: string) => void | Promise<void>
  /** Makes all requests. @default the platform's */
  readonly fetch?: Fetch
  /** Hears everything that happens; no event holds a secret but `authorization_url`, which is for the person. */
  readonly onEvent?: EventListener
  /** Cancels whatever is under way. */
  readonly signal?: AbortSignal
  /** Writes every step to stderr. @default `LATCHKEY_DEBUG=1` */
  readonly debug?: boolean
  /** Name of this program, for registrations (`client_name`) and MCP (`clientInfo`). @default 'latchkey' */
  readonly clientName?: string
  /** Milliseconds a person has for a sign-in. @default 300_000 */
  readonly callbackTimeout?: number
}

/** All that a platform brings. */
export type FullPlatform = Platform & McpPlatform

/** Joins the platform and the options of one caller. */
export function createRuntime(
  platform: FullPlatform,
  options: LatchkeyOptions,
  signInQueue: SignInQueue,
): Runtime {
  const { clock, redirectReceiver, userAgent: browser } = platform
  const { openUrl, store = 'file' } = options
  const emit = tellAll([
    platform.diagnostics,
    options.onEvent,
    (options.debug ?? platform.debug) ? platform.debugListener : undefined,
  ])
  const userAgent = `latchkey/${VERSION}`
  return {
    network: createNetwork({ fetch: options.fetch ?? platform.fetch, clock, emit, userAgent }),
    clock,
    store: chosenStore(store, platform, emit),
    receiver: redirectReceiver,
    secretReader: platform.secretReader,
    openUrl: openUrl ? async (url) => openUrl(url) : browser && ((url) => browser.open(url)),
    attended: platform.attended || openUrl !== undefined,
    interactive: options.interactive ?? 'auto',
    emit,
    signInQueue,
    clientName: options.clientName ?? 'latchkey',
    callbackTimeout: options.callbackTimeout ?? 300_000,
    account: options.account,
    signal: options.signal,
  }
}

function chosenStore(
  store: NonNullable<LatchkeyOptions['store']>,
  platform: FullPlatform,
  emit: EventListener,
): CredentialStore {
  if (store === 'file') return platform.createStore(emit)
  return store === 'memory' ? createMemoryStore() : store
}

/** One listener of a program must not keep the others, or the work, from going on. */
function tellAll(listeners: readonly (EventListener | undefined)[]): EventListener {
  const present = listeners.filter((listener) => listener !== undefined)
  return (event) => {
    for (const listener of present) {
      try {
        listener(event)
      } catch (error) {
        // Reported where uncaught errors go, as an event emitter would; the sign-in is not to blame.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
