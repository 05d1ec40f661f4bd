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
import { CredentialRefusedError, LoginRequiredError } from '../errors/index.ts'
import { type Connection, findLatchkeyError, type TransportKind } from './connection.ts'
import type { SdkClient } from './sdk.ts'

export interface SessionParts {
  readonly name: string
  readonly client: SdkClient
  readonly connection: Connection
  readonly login: ServerLogin | undefined
  readonly onClose: () => void
}

/**
 * An open session with one server. A call that meets a 401 which only a person can cure signs in, outside of any
 * request and its time limit, and is then made again.
 */
export class Session {
  /** The server's key in the configuration. */
  readonly name: string
  /** The official SDK's client, for everything that has no method here. Its calls throw `login_required` as they are. */
  readonly client: SdkClient
  readonly #parts: SessionParts

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

  /** @throws `login_required` when nobody may be asked; MCP errors of the SDK as they are */
  callTool(
    name: string,
    args: Record<string, unknown> = {},
    options?: CallToolRequestOptions,
  ): Promise<CallToolResult> {
    return this.run((client) => client.callTool({ name, arguments: args }, options))
  }

  listTools(options?: RequestOptions): Promise<ListToolsResult> {
    return this.run((client) => client.listTools(undefined, options))
  }

  listResources(options?: RequestOptions): Promise<ListResourcesResult> {
    return this.run((client) => client.listResources(undefined, options))
  }

  readResource(uri: string, options?: RequestOptions): Promise<ReadResourceResult> {
    return this.run((client) => client.readResource({ uri }, options))
  }

  listPrompts(options?: RequestOptions): Promise<ListPromptsResult> {
    return this.run((client) => client.listPrompts(undefined, options))
  }

  getPrompt(
    name: string,
    args: Record<string, string> = {},
    options?: RequestOptions,
  ): Promise<GetPromptResult> {
    return this.run((client) => client.getPrompt({ name, arguments: args }, options))
  }

  /**
   * Does anything with the SDK client; where it meets a 401 that needs a person, signs in and does it again, once.
   *
   * @throws `login_required`, `sign_in_cancelled`, every code of a sign-in
   */
  async run<T>(act: (client: SdkClient) => Promise<T>): Promise<T> {
    const { connection, login } = this.#parts
    if (connection.lost) await this.#reconnect(connection.lost)
    try {
      return await act(this.client)
    } catch (error) {
      const required = findLatchkeyError(error)
      if (!login || !(required instanceof LoginRequiredError)) throw required ?? error
      await this.#reconnect(required)
      return act(this.client)
    }
  }

  async close(): Promise<void> {
    this.#parts.onClose()
    await this.#parts.connection.close(this.client)
  }

  /** Signs in; an event stream that the 401 ended is opened anew, with the same client and its handlers. */
  async #reconnect(required: LoginRequiredError): Promise<void> {
    const { connection, login } = this.#parts
    await login?.signIn({ challenge: required.challenge })
    if (!connection.lost) return
    await this.client.close()
    await connection.open(this.client)
  }
}

/** A token that was issued a moment ago and is refused: another sign-in would not change that. */
export function freshTokenRefused(server: string, cause: unknown): CredentialRefusedError {
  return new CredentialRefusedError({
    message: `${server} refused the access token it was just given (HTTP 401).`,
    remedy:
      'The authorization server and the MCP server do not agree (audience, issuer, clock). Compare `resource` in `latchkey status` with what the server expects; `auth.resource` overrides it.',
    server,
    status: 401,
    cause,
  })
}
