import type { LoadedConfig, ServerDefinition } from '../definitions.ts'
import type { McpServersConfig } from '../config/input.ts'
import { definitionsFromDict } from '../config/mcp-servers.ts'
import type { Runtime } from '../credentials/runtime.ts'
import { ServerLogin } from '../credentials/server-login.ts'
import { isLatchkeyError, LoginRequiredError, ServerUnknownError } from '../errors/index.ts'
import { Connection } from './connection.ts'
import type { McpPlatform, SdkClient } from './sdk.ts'
import { freshTokenRefused, Session } from './session.ts'
import { createSdkClient, type SessionOptions } from './session-options.ts'
import { SignInOrder } from './sign-in-order.ts'

export interface ClientParts extends SessionOptions {
  readonly runtime: Runtime
  readonly platform: McpPlatform
  readonly version: string
}

/** The outcome of `createAllSessions`: every server stands on its own. */
export interface AllSessions {
  readonly sessions: Readonly<Record<string, Session>>
  /** Why a server has no session: an error of latchkey, with code and remedy. */
  readonly errors: Readonly<Record<string, Error>>
}

/** Connects to the servers of a configuration and signs in where they ask for it. */
export class McpClient {
  readonly #config: LoadedConfig
  readonly #parts: ClientParts
  readonly #sessions = new Map<string, Session>()
  readonly #opening = new Map<string, Promise<Session>>()

  /** @throws `config_invalid` */
  constructor(config: McpServersConfig | LoadedConfig, parts: ClientParts) {
    this.#config = 'definitions' in config ? config : definitionsFromDict(config)
    this.#parts = parts
    for (const warning of this.#config.warnings) parts.runtime.emit(warning)
  }

  /** The names of all servers that are not disabled, in config order. */
  getServerNames(): string[] {
    return this.#config.definitions.filter(({ disabled }) => !disabled).map(({ name }) => name)
  }

  /**
   * Opens a session: connects, and signs in when the server asks for it and a person may be asked. A session that is
   * open already is returned as it is.
   *
   * @throws `server_unknown`, `config_invalid`, `login_required`, `credential_refused`, `network_failed`,
   *   `connect_failed`, and every code of a sign-in
   */
  createSession(name: string): Promise<Session> {
    return this.#session(
      name,
      () => {},
      async () => {},
    )
  }

  /**
   * Opens sessions with all servers side by side; sign-ins that need a person come one after the other in config
   * order while the other servers go on.
   */
  async createAllSessions(): Promise<AllSessions> {
    const names = this.getServerNames()
    const order = new SignInOrder(names.length, this.#parts.runtime.clock)
    const outcomes = await Promise.allSettled(
      names.map((name, index) => {
        const decide = () => order.decide(index)
        return this.#session(name, decide, () => order.turn(index)).finally(decide)
      }),
    )
    const sessions: Record<string, Session> = {}
    const errors: Record<string, Error> = {}
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') sessions[names[index]!] = outcome.value
      else errors[names[index]!] = outcome.reason
    }
    return { sessions, errors }
  }

  /** The open session of a server, or `undefined`. */
  getSession(name: string): Session | undefined {
    return this.#sessions.get(name)
  }

  /** Closes the session of a server, if one is open. */
  async closeSession(name: string): Promise<void> {
    await this.#sessions.get(name)?.close()
  }

  async closeAllSessions(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()))
  }

  #session(name: string, asked: () => void, turn: () => Promise<void>): Promise<Session> {
    const open = this.#sessions.get(name)
    if (open) return Promise.resolve(open)
    const opening =
      this.#opening.get(name) ?? this.#open(name, asked, turn).finally(() => this.#opening.delete(name))
    this.#opening.set(name, opening)
    return opening
  }

  async #open(name: string, asked: () => void, turn: () => Promise<void>): Promise<Session> {
    const definition = this.#definition(name)
    const { platform, runtime, version } = this.#parts
    const sdk = await platform.loadSdk()
    const login =
      definition.kind === 'http' && definition.auth.method === 'oauth'
        ? new ServerLogin({ ...definition, settings: definition.auth.settings }, runtime)
        : undefined
    const connection = new Connection(definition, { sdk, platform, runtime, login })
    const client = createSdkClient(sdk, { name: runtime.clientName, version }, this.#parts)
    await this.#connect(connection, client, login, asked, turn)
    const onClose = () => void this.#sessions.delete(name)
    const session = new Session({ name, client, connection, login, onClose })
    this.#sessions.set(name, session)
    return session
  }

  /** Connects; a 401 that needs a person is answered by one sign-in and one more try. */
  async #connect(
    connection: Connection,
    client: SdkClient,
    login: ServerLogin | undefined,
    asked: () => void,
    turn: () => Promise<void>,
  ): Promise<void> {
    try {
      return await connection.open(client)
    } catch (error) {
      if (!login || !(error instanceof LoginRequiredError)) throw error
      await turn()
      const signedIn = login.signIn({ challenge: error.challenge })
      asked()
      await signedIn
    }
    try {
      await connection.open(client)
    } catch (error) {
      throw error instanceof LoginRequiredError ? freshTokenRefused(login.server.name, error) : error
    }
  }

  #definition(name: string): ServerDefinition {
    const found = this.#config.definitions.find((definition) => definition.name === name)
    if (found && found.kind !== 'invalid') return found
    if (found && isLatchkeyError(found.error)) throw found.error
    const known = this.getServerNames()
    throw new ServerUnknownError({
      message: `There is no server named ${JSON.stringify(name)} in the configuration.`,
      remedy:
        known.length > 0 ? `It has: ${known.join(', ')}.` : 'It has no servers: add one under `mcpServers`.',
      server: name,
      known,
    })
  }
}
