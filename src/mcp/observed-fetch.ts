import type { HttpServerDefinition } from '../definitions.ts'
import {
  ConnectFailedError,
  isLatchkeyError,
  type LatchkeyError,
  NetworkFailedError,
} from '../errors/index.ts'
import type { Fetch } from '../ports.ts'
import { type EchoFilter, withoutEchoes } from './echoes.ts'

/** What is known of one transport, beyond what the SDK tells. */
export interface TransportState {
  now: 'connecting' | 'open' | 'lost' | 'closed'
  /** What the fetch threw last: an SSE transport shows only a copy of its text. */
  failure?: LatchkeyError
  /** Of the last answer. */
  status?: number
  /** Requests that have no answer yet. */
  readonly pending: Set<Promise<Response>>
  readonly echoes: EchoFilter
  /** Called once, when the event stream is gone and nothing arrives any more. */
  onLost?: () => void
}

export interface Observation {
  readonly kind: 'streamable-http' | 'sse'
  readonly state: TransportState
  readonly definition: HttpServerDefinition
}

/** Refusals of a request of a session that its server no longer knows: they can be made again in a new one. */
const forgotten = new WeakSet<Error>()

/** Whether the request was refused because the server has forgotten the session (MCP transports, Session Management). */
export function isSessionForgotten(error: Error | undefined): boolean {
  return error !== undefined && forgotten.has(error)
}

/**
 * The `fetch` of one transport, which notes what the SDK keeps to itself: that the event stream of an SSE transport is
 * gone for good, and that the server has forgotten the session.
 */
export function observedFetch(fetch: Fetch, { kind, state, definition }: Observation): Fetch {
  const isEventStream = (init: RequestInit | undefined) => kind === 'sse' && (init?.method ?? 'GET') === 'GET'

  const noted = async (answer: Promise<Response>) => {
    const response = await answer
    state.echoes.note(response)
    return response
  }

  const observed: Fetch = async (input, init) => {
    try {
      const response = await withoutEchoes(await noted(fetch(input, init)))
      state.status = response.status
      // Anything but a stream ends an EventSource (WHATWG HTML §9.2.3), without a word to the SDK's client.
      if (isEventStream(init) && response.status !== 200) loseStream(state)
      if (response.status !== 404 || state.now === 'connecting' || !belongsToSession(kind, init))
        return response
      await response.body?.cancel()
    } catch (error) {
      if (isLatchkeyError(error)) state.failure = error
      if (!isEventStream(init) || !isLatchkeyError(error) || error instanceof NetworkFailedError) throw error
      // 204 tells an EventSource to stop; it would ask again every 3 s, where only a person can help.
      loseStream(state)
      return new Response(null, { status: 204 })
    }
    if (state.now === 'open') state.now = 'lost'
    throw sessionForgotten(definition.name)
  }

  return (input, init) => {
    const answer = observed(input, init)
    state.pending.add(answer)
    const settled = () => void state.pending.delete(answer)
    answer.then(settled, settled)
    return answer
  }
}

function loseStream(state: TransportState): void {
  if (state.now !== 'open') return
  state.now = 'lost'
  state.onLost?.()
}

function belongsToSession(kind: Observation['kind'], init: RequestInit | undefined): boolean {
  if (init?.method !== 'POST') return false
  return kind === 'sse' || new Headers(init.headers).has('mcp-session-id')
}

function sessionForgotten(server: string): ConnectFailedError {
  const error = new ConnectFailedError({
    message: `${server} no longer knows this session (HTTP 404).`,
    remedy: 'Open it again with createSession(); a call on the session does so by itself.',
    server,
  })
  forgotten.add(error)
  return error
}
