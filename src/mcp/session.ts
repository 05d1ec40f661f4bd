import type {
  CallToolRequestOptions,
  CallToolResult,
  GetPromptResult,
  ListPromptsResult,
  ListResourcesResult,
  ListToolsResult,
  ReadResourceResult,
  RequestOptions,
} from '@modelcontextprotocol/client'
import type { ServerLogin } from '../credentials/server-login.ts'
import { untilAborted } from '../credentials/until-aborted.ts'
import { ConnectFailedError } from '../errors/index.ts'
import type { Authorization } from '../events.ts'
import type { Clock } from '../ports.ts'
import { findLatchkeyError, notInTime } from './connect-failure.ts'
import type { Connection, TransportKind } from './connection.ts'
import { isSessionForgotten } from './observed-fetch.ts'
import type { ResponseCache } from './response-cache.ts'
import type { SdkClient } from './sdk.ts'
import { signedIn } from './signed-in.ts'

export interface SessionParts {
  readonly name: string
  readonly client: SdkClient
  readonly connection: Connection
  readonly cache: ResponseCache
  readonly login: ServerLogin | undefined
  readonly clock: Clock
  /** Milliseconds for one MCP request; the SDK's default where absent. */
  readonly timeout: number | undefined
  readonly onClose: () => void
  /** Ends what is under way in this session when it is closed: sign-ins, a connection being replaced. */
  readonly abort: AbortController
}

export interface RunOptions {
  /** Gives up waiting for the person. */
  readonly signal?: AbortSignal | undefined
  /** What is done: a step-up that did not help is remembered by it. @default 'run' */
  readonly operation?: string
}

/** How long one caller waits for a connection that is replaced, while others may wait longer. */
interface Patience {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds. */
  readonly timeout?: number | undefined
}

/**
 * An open session with one server. A call that meets a 401 which only a person can cure signs in, outside of any
 * request and its time limit, and is then made again; a session or event stream that the server dropped is replaced.
 */
export class Session {
  /** The server's key in the configuration. */
  readonly name: string
  /** The official SDK's client, for everything that has no method here. Its calls throw `login_required` as they are. */
  readonly client: SdkClient
  readonly #parts: SessionParts
  #reopening: Promise<void> | undefined

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.name = parts.name
    this.client = parts.client
  }

  get transport(): TransportKind {
    return this.#parts.connection.kind!
  }

  get protocolVersion(): string | undefined {
    return this.client.getNegotiatedProtocolVersion()
  }

  /**
   * How requests are authorized now. A server may take some of them without a login and ask for one later: then
   * `anonymous` becomes `signed_in` in the middle of the session, and the event `authorization_changed` says so.
   */
  get authorization(): Authorization {
    return this.#parts.connection.authorization
  }

  /** Whether calls can be made: false after `close`, and when the server's program has ended. */
  get isOpen(): boolean {
    return !this.#parts.connection.isClosed || this.#reopening !== undefined
  }

  /** @throws `login_required` when nobody may be asked; MCP errors of the SDK as they are */
  callTool(
    name: string,
    args: Record<string, unknown> = {},
    options?: CallToolRequestOptions,
  ): Promise<CallToolResult> {
    const operation = `tools/call ${name}`
    return this.#call(operation, options, (client, limits) =>
      client.callTool({ name, arguments: args }, limits),
    )
  }

  listTools(options?: RequestOptions): Promise<ListToolsResult> {
    return this.#call('tools/list', options, (client, limits) => client.listTools(undefined, limits))
  }

  listResources(options?: RequestOptions): Promise<ListResourcesResult> {
    return this.#call('resources/list', options, (client, limits) => client.listResources(undefined, limits))
  }

  readResource(uri: string, options?: RequestOptions): Promise<ReadResourceResult> {
    return this.#call(`resources/read ${uri}`, options, (client, limits) =>
      client.readResource({ uri }, limits),
    )
  }

  listPrompts(options?: RequestOptions): Promise<ListPromptsResult> {
    return this.#call('prompts/list', options, (client, limits) => client.listPrompts(undefined, limits))
  }

  getPrompt(
    name: string,
    args: Record<string, string> = {},
    options?: RequestOptions,
  ): Promise<GetPromptResult> {
    return this.#call(`prompts/get ${name}`, options, (client, limits) =>
      client.getPrompt({ name, arguments: args }, limits),
    )
  }

  /**
   * Does anything with the SDK client; where it meets a 401 or missing scope that needs a person, signs in and does it
   * again.
   *
   * @throws `login_required`, `insufficient_scope`, `sign_in_cancelled`, every code of a sign-in; `connect_failed`
   *   when the session is closed
   */
  run<T>(act: (client: SdkClient) => Promise<T>, { signal, operation = 'run' }: RunOptions = {}): Promise<T> {
    return this.#run(act, operation, { signal })
  }

  async close(): Promise<void> {
    const { connection, onClose, abort } = this.#parts
    onClose()
    await connection.close(this.client)
    abort.abort()
  }

  #run<T>(act: (client: SdkClient) => Promise<T>, operation: string, patience: Patience): Promise<T> {
    const once = async () => {
      await this.#ensureOpen(patience)
      try {
        return await this.#keepingCache(act)
      } catch (error) {
        const known = findLatchkeyError(error)
        if (!isSessionForgotten(known)) throw known ?? error
      }
      // The server did not act on it: it knew no session that it could have been for.
      await this.#ensureOpen(patience)
      return this.#keepingCache(act)
    }
    return signedIn(this.#parts.login, {
      operation,
      perform: once,
      signIn: (login, wish) => login.signIn({ ...wish, signal: patience.signal }),
    })
  }

  #call<T, Options extends RequestOptions>(
    operation: string,
    options: Options | undefined,
    act: (client: SdkClient, limits: Options | { timeout?: number }) => Promise<T>,
  ): Promise<T> {
    const { timeout } = this.#parts
    const limits = { ...(timeout !== undefined && { timeout }), ...options }
    const patience = { signal: options?.signal, timeout: options?.timeout ?? timeout }
    return this.#run((client) => act(client, limits), operation, patience)
  }

  /** A result that was asked for before a sign-in and came after it is not kept. */
  async #keepingCache<T>(act: (client: SdkClient) => Promise<T>): Promise<T> {
    const { connection, cache } = this.#parts
    const before = connection.context
    try {
      return await act(this.client)
    } catch (error) {
      throw connection.reasonOf(error)
    } finally {
      if (connection.context !== before) cache.clear()
    }
  }

  /**
   * Replaces a lost connection, once for all who call, with the same client and its handlers. What only a person can cure
   * is thrown: the operation that needs the connection signs in, outside of any limit, and comes again.
   */
  async #ensureOpen(patience: Patience): Promise<void> {
    const { connection } = this.#parts
    if (connection.isLost) {
      this.#reopening ??= connection.open(this.client).finally(() => {
        this.#reopening = undefined
      })
    }
    if (this.#reopening) await this.#waitFor(this.#reopening, patience)
    if (connection.isClosed) throw this.#ended()
  }

  async #waitFor(reopening: Promise<void>, { signal, timeout }: Patience): Promise<void> {
    const given = new AbortController()
    const { clock } = this.#parts
    const cancel =
      timeout === undefined
        ? () => {}
        : clock.setTimer(
            () =>
              given.abort(
                notInTime(
                  this.name,
                  timeout,
                  'give the call more time: its connection was lost and is replaced',
                ),
              ),
            timeout,
          )
    const either = signal ? AbortSignal.any([signal, given.signal]) : given.signal
    await untilAborted(reopening, either).finally(cancel)
  }

  #ended(): ConnectFailedError {
    return new ConnectFailedError({
      message: `The session with ${this.name} is closed.`,
      remedy: `Open it again with createSession(${JSON.stringify(this.name)}). If you did not close it, the server's program has ended.`,
      server: this.name,
    })
  }
}
