import { createAuthorizedFetch } from '../authorized-fetch/authorized-fetch.ts'
import { concealed } from '../concealed.ts'
import type { Runtime } from '../credentials/runtime.ts'
import type { ServerLogin } from '../credentials/server-login.ts'
import { untilAborted } from '../credentials/until-aborted.ts'
import type { HttpServerDefinition, ServerDefinition } from '../definitions.ts'
import { bareCause } from '../errors/bare-cause.ts'
import { ConnectFailedError, isLatchkeyError, UnsupportedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { Authorization, Connected } from '../events.ts'
import { connectFailed, findLatchkeyError, neitherConnected, notInTime, statusOf } from './connect-failure.ts'
import { EchoFilter } from './echoes.ts'
import { observedFetch, type TransportState } from './observed-fetch.ts'
import type { McpPlatform, McpSdk, SdkClient, SdkTransport } from './sdk.ts'

export type TransportKind = Connected['transport']

/** Statuses that say "not this transport here" (MCP transports, Backwards Compatibility); never 401, 403 or 5xx. */
const OTHER_TRANSPORT = [400, 404, 405]

/** How long one request may take where the configuration says nothing, in milliseconds: as long as the SDK gives it. */
const REQUEST = 60_000

/** Of JSON-RPC 2.0. */
const INTERNAL_ERROR = -32_603

/** How long the server may take to end its side of a session, in milliseconds. */
const FAREWELL = 2_000

/** How long requests of a lost session may take to be refused, in milliseconds. */
const REFUSAL = 1_000

export interface ConnectionParts {
  readonly sdk: McpSdk
  readonly platform: McpPlatform
  /** Its signal ends the connection. */
  readonly runtime: Runtime
  /** Of an OAuth server: shared by the fetch and the sign-in. */
  readonly login: ServerLogin | undefined
}

/**
 * One way to one server, for one SDK client: opens the right transport and knows what became of it.
 * Never waits for a person.
 */
export class Connection {
  readonly #definition: ServerDefinition
  readonly #parts: ConnectionParts
  #kind: TransportKind | undefined
  #transport: SdkTransport | undefined
  #opened = 0
  #state: TransportState = { now: 'closed', pending: new Set(), echoes: new EchoFilter() }

  constructor(definition: ServerDefinition, parts: ConnectionParts) {
    this.#definition = definition
    this.#parts = parts
  }

  get kind(): TransportKind | undefined {
    return this.#kind
  }

  /** How the requests are authorized now; a login that begins or ends changes it. */
  get authorization(): Authorization {
    const definition = this.#definition
    if (this.#parts.login) return this.#parts.login.authorization.now
    return definition.kind === 'stdio' || definition.auth.method === 'none' ? 'none' : 'static'
  }

  /** Names who speaks to which session of the server: results may be kept as long as it stays the same. */
  get context(): string {
    const { login } = this.#parts
    return [this.#opened, login?.signIns, login?.authorization.changes].join(' ')
  }

  /** Ended by the other side (a program that exited) or by `close`. */
  get isClosed(): boolean {
    return this.#state.now === 'closed'
  }

  /** Nothing arrives here any more, although nobody closed it: open it again before the next call. */
  get isLost(): boolean {
    return this.#state.now === 'lost'
  }

  /**
   * What a call failed with: without what the server repeats in it, and ours where the SDK knows only that the connection
   * is gone.
   */
  reasonOf(error: unknown): unknown {
    const { echoes, loss } = this.#state
    echoes.cleanError(error)
    if (!(error instanceof Error)) return error
    const { code, data } = error as { code?: unknown; data?: unknown }
    if (isLatchkeyError(data)) return data
    return loss && code === 'CONNECTION_CLOSED' ? loss : error
  }

  /**
   * Connects the client: by Streamable HTTP first, later by what worked before. Replaces a lost connection.
   *
   * A 2025 server is asked twice, for the newer version first: so all of it may take as long as two requests.
   *
   * @throws `login_required`, `credential_refused`, `network_failed`, `connect_failed`; the reason of an abort
   */
  async open(client: SdkClient): Promise<void> {
    if (this.isLost) await this.#settle()
    await client.close()
    const { name, timeout = REQUEST } = this.#definition
    const given = new AbortController()
    // The SDK limits requests only: neither the opening of a transport nor a notification.
    const limit = 2 * timeout
    const late = () =>
      given.abort(notInTime(name, limit, 'give it more time: `timeout` of this server, in milliseconds'))
    const cancel = this.#parts.runtime.clock.setTimer(late, limit)
    await this.#open(client, given).finally(cancel)
  }

  async #open(client: SdkClient, given: AbortController): Promise<void> {
    const definition = this.#definition
    if (definition.kind === 'stdio') return this.#connect(client, given, 'stdio', () => this.#stdio())
    const transport = this.#kind ?? definition.transport
    const connect = (kind: 'streamable-http' | 'sse') =>
      this.#connect(client, given, kind, this.#http(definition, kind))
    if (transport !== 'auto') return connect(transport === 'sse' ? 'sse' : 'streamable-http')
    try {
      await connect('streamable-http')
    } catch (error) {
      if (!(error instanceof ConnectFailedError) || !OTHER_TRANSPORT.includes(statusOf(error) ?? 0))
        throw error
      await connect('sse').catch((later: unknown) => {
        throw later instanceof ConnectFailedError ? neitherConnected(definition.name, error, later) : later
      })
    }
  }

  /** Ends the session at the server (2025 versions), best effort, and closes. */
  async close(client: SdkClient): Promise<void> {
    if (this.#state.now === 'open') await this.#sayFarewell()
    this.#state.now = 'closed'
    await client.close()
  }

  /** @param given ends the connecting alone */
  async #connect(
    client: SdkClient,
    given: AbortController,
    kind: TransportKind,
    create: (state: TransportState) => SdkTransport | Promise<SdkTransport>,
  ): Promise<void> {
    const { name, timeout } = this.#definition
    const { emit, signal: whole, clock } = this.#parts.runtime
    const signal = whole ? AbortSignal.any([whole, given.signal]) : given.signal
    signal.throwIfAborted()
    const state: TransportState = { now: 'connecting', pending: new Set(), echoes: new EchoFilter() }
    this.#opened += 1
    const transport = await untilAborted(Promise.resolve(create(state)), signal)
    const abort = () => void transport.close()
    // The SDK calls it ahead of its own.
    transport.onmessage = (message) => state.echoes.cleanMessage(message)
    transport.onclose = () => {
      if (state.now !== 'lost') state.now = 'closed'
      signal.removeEventListener('abort', abort)
    }
    // A lost stream brings no answers: whoever waits for one must hear of it before the time is up. Not at once, since
    // the request that found out ends with its own error.
    state.onLost = () => void clock.setTimer(abort, 0)
    state.onUnusable = (error) => given.abort(error)
    // The SDK ends a stream that breaks off without a word to whoever waits for an answer in it.
    state.refuse = (id, error) =>
      transport.onmessage?.({
        jsonrpc: '2.0',
        id,
        error: { code: INTERNAL_ERROR, message: error.summary, data: error },
      })
    signal.addEventListener('abort', abort, { once: true })
    const connecting = client.connect(transport, timeout === undefined ? {} : { timeout })
    try {
      // The SDK's `connect` does not heed an abort everywhere: a program that says nothing is not waited for.
      await untilAborted(connecting, signal)
    } catch (error) {
      const late = connecting.then(() => client.close()).catch(() => {})
      await client.close().catch(() => {})
      await transport.close().catch(() => {})
      // What is left of it would end a later connection of the same client.
      if (!whole?.aborted) await this.#atMost(REFUSAL, late)
      signal.throwIfAborted()
      state.echoes.cleanError(error)
      const failure = findLatchkeyError(error) ?? state.failure
      // What Node says of a program that did not start has all its arguments.
      throw failure ?? connectFailed(name, kind === 'stdio' ? bareCause(error) : error, state.status)
    }
    state.now = 'open'
    this.#state = state
    this.#kind = kind
    this.#transport = transport
    const version = client.getNegotiatedProtocolVersion()
    emit({ type: 'connected', server: name, transport: kind, ...(version && { protocol_version: version }) })
  }

  #http(definition: HttpServerDefinition, kind: 'streamable-http' | 'sse') {
    const { sdk, runtime, login } = this.#parts
    const { clock } = runtime
    // The runtime's signal closes the transport, and that ends its requests.
    const fetch = createAuthorizedFetch(definition, { ...runtime, signal: undefined }, login)
    const Transport = kind === 'sse' ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport
    // The transport can be seen in `session.client`, and a query may be a secret.
    const url = concealed(new URL(definition.url), shownUrl(definition.url))
    return (state: TransportState): SdkTransport =>
      new Transport(url, { fetch: observedFetch(fetch, { kind, state, definition, clock }) })
  }

  async #stdio(): Promise<SdkTransport> {
    const { stdioTransport } = this.#parts.platform
    const definition = this.#definition
    if (stdioTransport && definition.kind === 'stdio') return stdioTransport(definition)
    throw new UnsupportedError({
      message: `${definition.name} is a program, and this platform cannot start programs.`,
    })
  }

  /** A server that does not answer must not keep the session open. */
  async #sayFarewell(): Promise<void> {
    const transport = this.#transport as { terminateSession?: () => Promise<void> } | undefined
    await this.#atMost(
      FAREWELL,
      transport?.terminateSession?.().catch(() => {}),
    )
  }

  /** Closing ends requests in flight with "closed"; those that are about to be refused by themselves can be repeated. */
  async #settle(): Promise<void> {
    await this.#atMost(REFUSAL, Promise.allSettled(this.#state.pending))
    // The refusals still have to travel through the SDK.
    await this.#atMost(0, new Promise(() => {}))
  }

  async #atMost(time: number, work: Promise<unknown> | undefined): Promise<void> {
    let cancel: () => void = () => {}
    const patience = new Promise<void>((resolve) => {
      cancel = this.#parts.runtime.clock.setTimer(resolve, time)
    })
    await Promise.race([work, patience])
    cancel()
  }
}
