import { createAuthorizedFetch } from '../authorized-fetch/authorized-fetch.ts'
import type { HttpServerDefinition, ServerDefinition } from '../definitions.ts'
import type { Runtime } from '../credentials/runtime.ts'
import type { ServerLogin } from '../credentials/server-login.ts'
import { ConnectFailedError, isLatchkeyError, LoginRequiredError, UnsupportedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import type { Connected } from '../events.ts'
import type { Fetch } from '../ports.ts'
import type { McpPlatform, McpSdk, SdkClient, SdkTransport } from './sdk.ts'

export type TransportKind = Connected['transport']

/** Statuses that say "not this transport here" (MCP transports, Backwards Compatibility); never 401, 403 or 5xx. */
const OTHER_TRANSPORT = [400, 404, 405]

export interface ConnectionParts {
  readonly sdk: McpSdk
  readonly platform: McpPlatform
  readonly runtime: Runtime
  /** Of an OAuth server: shared by the fetch and the sign-in. */
  readonly login: ServerLogin | undefined
}

/**
 * One way to one server, for one SDK client: opens the right transport and knows when authentication ended it.
 * Never waits for a person.
 */
export class Connection {
  readonly #definition: ServerDefinition
  readonly #parts: ConnectionParts
  #kind: TransportKind | undefined
  #transport: SdkTransport | undefined
  /** What the fetch threw last: an SSE transport shows only a copy of its text. */
  #loginRequired: LoginRequiredError | undefined

  constructor(definition: ServerDefinition, parts: ConnectionParts) {
    this.#definition = definition
    this.#parts = parts
  }

  get kind(): TransportKind | undefined {
    return this.#kind
  }

  /** The 401 that ended the event stream behind our back, if one did: nothing arrives there any more. */
  get lost(): LoginRequiredError | undefined {
    return this.#kind === 'sse' ? this.#loginRequired : undefined
  }

  /**
   * Connects the client, by Streamable HTTP first.
   *
   * @throws `login_required`, `credential_refused`, `network_failed`, `connect_failed`
   */
  async open(client: SdkClient): Promise<void> {
    const definition = this.#definition
    if (definition.kind === 'stdio') return this.#connect(client, 'stdio', await this.#stdio())
    const { transport } = definition
    if (transport !== 'sse') {
      try {
        return await this.#connect(client, 'streamable-http', this.#http(definition, 'streamable-http'))
      } catch (error) {
        if (transport !== 'auto' || !OTHER_TRANSPORT.includes(statusOf(error) ?? 0)) throw error
      }
    }
    return this.#connect(client, 'sse', this.#http(definition, 'sse'))
  }

  /** Ends the session at the server (2025 versions), best effort, and closes. */
  async close(client: SdkClient): Promise<void> {
    const transport = this.#transport as { terminateSession?: () => Promise<void> } | undefined
    if (!this.#loginRequired) await transport?.terminateSession?.().catch(() => {})
    await client.close()
  }

  async #connect(client: SdkClient, kind: TransportKind, transport: SdkTransport): Promise<void> {
    const { timeout, name } = this.#definition
    this.#loginRequired = undefined
    try {
      await client.connect(transport, timeout === undefined ? {} : { timeout })
    } catch (error) {
      await client.close().catch(() => {})
      await transport.close().catch(() => {})
      throw this.#loginRequired ?? findLatchkeyError(error) ?? connectFailed(name, error)
    }
    this.#kind = kind
    this.#transport = transport
    const version = client.getNegotiatedProtocolVersion()
    const { emit } = this.#parts.runtime
    emit({ type: 'connected', server: name, transport: kind, ...(version && { protocol_version: version }) })
  }

  #http(definition: HttpServerDefinition, kind: 'streamable-http' | 'sse'): SdkTransport {
    const { sdk, runtime, login } = this.#parts
    const fetch = this.#observed(createAuthorizedFetch(definition, runtime, login))
    const Transport = kind === 'sse' ? sdk.SSEClientTransport : sdk.StreamableHTTPClientTransport
    return new Transport(new URL(definition.url), { fetch })
  }

  async #stdio(): Promise<SdkTransport> {
    const { stdioTransport } = this.#parts.platform
    const definition = this.#definition
    if (stdioTransport && definition.kind === 'stdio') return stdioTransport(definition)
    throw new UnsupportedError({
      message: `${definition.name} is a program, and this platform cannot start programs.`,
    })
  }

  #observed(fetch: Fetch): Fetch {
    return async (input, init) => {
      try {
        const response = await fetch(input, init)
        this.#loginRequired = undefined
        return response
      } catch (error) {
        if (error instanceof LoginRequiredError) this.#loginRequired = error
        throw error
      }
    }
  }
}

/** Our own error inside what the SDK threw around it. */
export function findLatchkeyError(error: unknown): Error | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (isLatchkeyError(cause)) return cause
  return undefined
}

function statusOf(error: unknown): number | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { status } = cause as { status?: unknown }
    if (typeof status === 'number') return status
  }
  return undefined
}

function connectFailed(server: string, cause: unknown): ConnectFailedError {
  const status = statusOf(cause)
  const said = cause instanceof Error ? quoteServerText(cause.message) : 'unknown reason'
  return new ConnectFailedError({
    message: `${server} could not be connected: ${said}.`,
    remedy:
      status !== undefined && status >= 500
        ? 'The server has a problem; try again later.'
        : 'Check `url` (the whole MCP endpoint, often ending in /mcp or /sse), or `command` and `args`; `--debug` shows every request.',
    server,
    cause,
  })
}
