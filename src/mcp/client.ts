import type { McpServersConfig } from '../config/input.ts'
import { definitionsFromDict } from '../config/mcp-servers.ts'
import type { Runtime } from '../credentials/runtime.ts'
import { serverLogin } from '../credentials/server-login.ts'
import type { LoadedConfig, ServerDefinition } from '../definitions.ts'
import { isLatchkeyError, ServerUnknownError } from '../errors/index.ts'
import { authExtensions } from './auth-extensions.ts'
import { Connection } from './connection.ts'
import { ResponseCache } from './response-cache.ts'
import type { McpPlatform } from './sdk.ts'
import { Session } from './session.ts'
import { createSdkClient, type SessionOptions } from './session-options.ts'
import { SignInOrder } from './sign-in-order.ts'
import { signedIn } from './signed-in.ts'

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

/** When a server that needs a person may ask for one. */
interface Turn {
  /** Waits for the servers before it. */
  readonly wait: () => Promise<void>
  /** Lets the servers after it go on. */
  readonly pass: () => void
}

interface Opening {
  readonly session: Promise<Session>
  readonly abort: AbortController
}

const AT_ONCE: Turn = { wait: async () => {}, pass: () => {} }

/** Connects to the servers of a configuration and signs in where they ask for it. */
export class McpClient {
  readonly #config: LoadedConfig
  readonly #parts: ClientParts
  readonly #sessions = new Map<string, Session>()
  readonly #opening = new Map<string, Opening>()

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
    return this.#session(name, AT_ONCE)
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
        const turn: Turn = { wait: () => order.turn(index), pass: () => order.decide(index) }
        return this.#session(name, turn).finally(turn.pass)
      }),
    )
    const named = outcomes.map((outcome, index) => [names[index]!, outcome] as const)
    return {
      sessions: Object.fromEntries(
        named.flatMap(([name, outcome]) => (outcome.status === 'fulfilled' ? [[name, outcome.value]] : [])),
      ),
      errors: Object.fromEntries(
        named.flatMap(([name, outcome]) => (outcome.status === 'rejected' ? [[name, outcome.reason]] : [])),
      ),
    }
  }

  /** The open session of a server, or `undefined`. */
  getSession(name: string): Session | undefined {
    const session = this.#sessions.get(name)
    return session?.isOpen ? session : undefined
  }

  /** Closes the session of a server, if one is open, and gives up opening one. */
  async closeSession(name: string): Promise<void> {
    const opening = this.#opening.get(name)
    opening?.abort.abort()
    await opening?.session.catch(() => {})
    await this.#sessions.get(name)?.close()
  }

  /** Closes every session: nothing of this client keeps the process alive afterwards. */
  async closeAllSessions(): Promise<void> {
    const names = new Set([...this.#opening.keys(), ...this.#sessions.keys()])
    await Promise.allSettled([...names].map((name) => this.closeSession(name)))
  }

  #session(name: string, turn: Turn): Promise<Session> {
    const open = this.getSession(name)
    if (open) return Promise.resolve(open)
    const opening = this.#opening.get(name)
    if (opening) return opening.session
    const abort = new AbortController()
    const session = this.#open(name, turn, abort).finally(() => this.#opening.delete(name))
    this.#opening.set(name, { session, abort })
    return session
  }

  async #open(name: string, turn: Turn, abort: AbortController): Promise<Session> {
    const definition = this.#definition(name)
    const { platform, version } = this.#parts
    const runtime = endedBy(abort.signal, this.#parts.runtime)
    const sdk = await platform.loadSdk()
    const login = serverLogin(definition, runtime)
    const connection = new Connection(definition, { sdk, platform, runtime, login })
    const info = { name: runtime.clientName, version }
    const cache = new ResponseCache(() => connection.context)
    const client = createSdkClient(sdk, info, this.#parts, cache, authExtensions(definition))
    await signedIn(login, {
      operation: 'connect',
      perform: () => connection.open(client),
      signIn: async (its, wish) => {
        await turn.wait()
        const asked = its.signIn(wish)
        turn.pass()
        await asked
      },
    })
    const { timeout } = definition
    const onClose = () => {
      if (this.#sessions.get(name) === session) this.#sessions.delete(name)
    }
    const { clock } = runtime
    const session = new Session({ name, client, cache, connection, login, clock, timeout, onClose, abort })
    this.#sessions.set(name, session)
    return session
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

/** The same runtime, which also ends when `signal` says so. */
function endedBy(signal: AbortSignal, runtime: Runtime): Runtime {
  return { ...runtime, signal: runtime.signal ? AbortSignal.any([signal, runtime.signal]) : signal }
}
