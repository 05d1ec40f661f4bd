import { nearestKey } from './config/nearest-key.ts'
import { invalid, unexpected } from './config/problem.ts'
import type { Interactive, Runtime } from './credentials/runtime.ts'
import type { SignInQueue } from './credentials/sign-in-queue.ts'
import type { EventListener } from './events.ts'
import type { McpPlatform } from './mcp/sdk.ts'
import type { SessionOptions } from './mcp/session-options.ts'
import { createNetwork } from './net/network.ts'
import type { Clock, CredentialStore, Fetch, Platform, ReachingFetch } from './ports.ts'
import { VERSION } from './version.ts'

/** What a program may set; everything has a default. */
export interface LatchkeyOptions extends SessionOptions {
  /** Which of several identities at a server; `auth.account` of a server comes first. @default the unnamed one */
  readonly account?: string
  /** Who may open a browser. @default 'auto': foreground acts, at a terminal or with `openUrl` */
  readonly interactive?: Interactive
  /**
   * Where credentials rest: `file` in clear text, `keychain` in files sealed with a key of the system's keychain, `auto` the
   * one or the other, as there is a keychain. @default LATCHKEY_STORE, else 'file'; without files 'memory'
   */
  readonly store?: CredentialStore | StoreName
  /** Opens a URL for the person instead of the system's browser. Rejecting is not the end: the URL is in the events. */
  readonly openUrl?: (url: string) => void | Promise<void>
  /**
   * Makes all requests. Where it connects to is then its own affair: latchkey judges names and literal addresses, not
   * what a name leads to. @default the platform's
   */
  readonly fetch?: Fetch
  /**
   * `public`: every address has to be on the internet, that of the server too. For a program whose users name the
   * servers. @default 'any': the configuration may name whatever it likes, a server only what is public like itself
   */
  readonly addresses?: 'any' | 'public'
  /** Hears everything that happens; no event holds a secret but `authorization_url`, which is for the person. */
  readonly onEvent?: EventListener
  /** Ends whatever this client does: sign-ins, requests, and open sessions. */
  readonly signal?: AbortSignal
  /** Writes every step to stderr. @default `LATCHKEY_DEBUG=1` */
  readonly debug?: boolean
  /** Name of this program, for registrations (`client_name`) and MCP (`clientInfo`). @default 'latchkey' */
  readonly clientName?: string
  /** Milliseconds a person has for a sign-in. @default 300_000 */
  readonly callbackTimeout?: number
}

/** The stores that need no more than a name. */
export type StoreName = (typeof STORE_NAMES)[number]
export const STORE_NAMES = ['file', 'memory', 'keychain', 'auto'] as const

/** All that a platform brings. */
export type FullPlatform = Platform & McpPlatform

/** What all clients of one process share. */
export interface ProcessParts {
  readonly signInQueue: SignInQueue
  readonly memoryStore: CredentialStore
}

/** Joins the platform and the options of one caller. */
export function createRuntime(
  platform: FullPlatform,
  options: LatchkeyOptions,
  { signInQueue, memoryStore }: ProcessParts,
): Runtime {
  checkOptions(options)
  const { clock, redirectReceiver, userAgent: browser } = platform
  const { openUrl } = options
  const store = options.store ?? namedStore(platform.defaultStore)
  const debugListener = (options.debug ?? platform.debug) ? platform.debugListener : undefined
  const emit = tellAll([platform.diagnostics, options.onEvent, debugListener], clock)
  const userAgent = `latchkey/${VERSION}`
  const own = options.fetch
  const whereabouts = own ? undefined : platform.whereabouts
  // The caller's is called as any `fetch` is.
  const fetch: ReachingFetch = own ? (input, init) => own(input, init) : platform.fetch
  const publicOnly = options.addresses === 'public'
  const network = createNetwork({ fetch, whereabouts, clock, emit, userAgent })
  return {
    network: (server, serverUrl, said) => network(server, serverUrl, { ...said, publicOnly }),
    judgesAddresses: whereabouts?.judgesAll ?? false,
    clock,
    store:
      typeof store !== 'string'
        ? store
        : store === 'memory'
          ? memoryStore
          : platform.createStore(emit, store),
    receiver: redirectReceiver,
    secretReader: platform.secretReader,
    openUrl: openUrl ? async (url) => openUrl(url) : browser && ((url) => browser.open(url)),
    attended: platform.attended || openUrl !== undefined,
    interactive: options.interactive ?? 'auto',
    emit,
    signInQueue,
    signInBoard: once(() => platform.createSignInBoard?.(emit)),
    clientName: options.clientName ?? 'latchkey',
    callbackTimeout: options.callbackTimeout ?? 300_000,
    account: options.account,
    signal: options.signal,
  }
}

/** An option that is misspelt must not quietly mean its default: that default may be to open a browser. */
function checkOptions(options: LatchkeyOptions): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(OPTIONS, name)) continue
    const near = nearestKey(name, Object.keys(OPTIONS))
    throw invalid(`options.${name}`, 'not known.', near && `Did you mean \`${near}\`?`)
  }
  const { addresses, interactive, store, callbackTimeout } = options
  if (addresses !== undefined && !['any', 'public'].includes(addresses)) {
    throw unexpected('options.addresses', addresses, '"any" or "public"')
  }
  if (interactive !== undefined && !['auto', 'always', 'never'].includes(interactive)) {
    throw unexpected('options.interactive', interactive, '"auto", "always" or "never"')
  }
  if (typeof store === 'string' && !STORE_NAMES.includes(store)) {
    throw unexpected('options.store', store, '"file", "memory", "keychain", "auto" or a CredentialStore')
  }
  if (callbackTimeout !== undefined && !(Number.isFinite(callbackTimeout) && callbackTimeout > 0)) {
    throw unexpected('options.callbackTimeout', callbackTimeout, 'a number of milliseconds above 0')
  }
}

/** LATCHKEY_STORE. A misspelt one must not quietly mean clear text. */
function namedStore(name: string | undefined): StoreName {
  const found = STORE_NAMES.find((known) => known === (name || 'file'))
  if (found) return found
  throw unexpected('LATCHKEY_STORE', name, '"file", "memory", "keychain" or "auto"')
}

/** Every option, so that the compiler misses none. */
const OPTIONS: Readonly<Record<keyof LatchkeyOptions, true>> = {
  account: true,
  interactive: true,
  store: true,
  openUrl: true,
  fetch: true,
  addresses: true,
  onEvent: true,
  signal: true,
  debug: true,
  clientName: true,
  callbackTimeout: true,
  clientCapabilities: true,
  onElicitation: true,
  onSampling: true,
  roots: true,
}

/** Made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** One listener of a program must not keep the others, or the work, from going on. */
function tellAll(listeners: readonly (EventListener | undefined)[], clock: Clock): EventListener {
  const present = listeners.filter((listener) => listener !== undefined)
  let isReported = false
  // Thrown where uncaught errors go, as an event emitter would, but once, and not before a token in hand is stored.
  const report = (error: unknown) => {
    if (isReported) return
    isReported = true
    clock.setTimer(() => {
      throw error
    }, 1_000)
  }
  return (event) => {
    for (const listener of present) {
      try {
        const outcome: unknown = listener(event)
        if (outcome instanceof Promise) outcome.catch(report)
      } catch (error) {
        report(error)
      }
    }
  }
}
