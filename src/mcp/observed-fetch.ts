import type { HttpServerDefinition } from '../definitions.ts'
import {
  ConnectFailedError,
  isLatchkeyError,
  type LatchkeyError,
  NetworkFailedError,
  ResponseInvalidError,
} from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { Clock, Fetch } from '../ports.ts'
import { ANSWER_LIMIT, watched } from './answer-limit.ts'
import { type EchoFilter, withoutEchoes } from './echoes.ts'
import { ReconnectPace } from './reconnect-pace.ts'

/** What is known of one transport, beyond what the SDK tells. */
export interface TransportState {
  now: 'connecting' | 'open' | 'lost' | 'closed'
  /** What the fetch threw last: an SSE transport shows only a copy of its text. */
  failure?: LatchkeyError
  /** What ended the session, where it was an answer that somebody may have waited for. */
  loss?: LatchkeyError
  /** Of the last answer. */
  status?: number
  /** Requests that have no answer yet. */
  readonly pending: Set<Promise<Response>>
  readonly echoes: EchoFilter
  /** Called once, when the event stream is gone and nothing arrives any more. */
  onLost?: () => void
  /** Called with the error of an answer that cannot be used: there is no use in connecting any further. */
  onUnusable?: (error: LatchkeyError) => void
  /** Answers a request in place of the server. */
  refuse?: (request: RequestId, error: LatchkeyError) => void
}

type RequestId = string | number

export interface Observation {
  readonly kind: 'streamable-http' | 'sse'
  readonly state: TransportState
  readonly definition: HttpServerDefinition
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>
  /** Bytes of one answer, or one event of a stream. @default 64 MB */
  readonly limit?: number
}

/** Refusals of a request of a session that its server no longer knows: they can be made again in a new one. */
const forgotten = new WeakSet<Error>()

/** Whether the request was refused because the server has forgotten the session (MCP transports, Session Management). */
export function isSessionForgotten(error: Error | undefined): boolean {
  return error !== undefined && forgotten.has(error)
}

/**
 * The `fetch` of one transport, which notes what the SDK keeps to itself: that the event stream of an SSE transport is
 * gone for good, and that the server has forgotten the session. It sets limits where the SDK has none: to the size of
 * answers, and to how soon an event stream is asked for again.
 */
export function observedFetch(
  fetch: Fetch,
  { kind, state, definition, clock, limit = ANSWER_LIMIT }: Observation,
): Fetch {
  const pace = new ReconnectPace(clock)
  const isEventStream = (init: RequestInit | undefined) => kind === 'sse' && isGet(init)

  const noted = async (answer: Promise<Response>) => {
    const response = await answer
    state.echoes.note(response)
    return response
  }

  const bounded = (response: Response, init: RequestInit | undefined, onEnd: () => void) => {
    // Any other is read as a whole before it is looked at.
    const streams = response.ok && response.status !== 202 && isOfEvents(response)
    const request = kind === 'streamable-http' && streams ? requestIn(init) : undefined
    const tooLong = () => {
      const error = tooLongAnswer(definition, response, limit)
      state.failure = error
      if (state.now === 'connecting') state.onUnusable?.(error)
      else if (isGet(init)) loseStream(state, error)
      else if (request !== undefined) state.refuse?.(request, error)
      return error
    }
    const isEventStream = streams && (isGet(init) || request !== undefined)
    return watched(response, { limit, isEventStream, onEnd, tooLong })
  }

  const observed = async (input: Parameters<Fetch>[0], init: RequestInit | undefined, onEnd: () => void) => {
    try {
      const response = bounded(await withoutEchoes(await noted(fetch(input, init))), init, onEnd)
      if (!response.body) onEnd()
      state.status = response.status
      // Anything but a stream ends an EventSource (WHATWG HTML §9.2.3), without a word to the SDK's client.
      if (isEventStream(init) && response.status !== 200) loseStream(state)
      if (response.status !== 404 || state.now === 'connecting' || !belongsToSession(kind, init))
        return response
      await response.body?.cancel()
    } catch (error) {
      onEnd()
      if (isLatchkeyError(error)) state.failure = error
      if (!isEventStream(init) || !isLatchkeyError(error) || error instanceof NetworkFailedError) throw error
      // 204 tells an EventSource to stop; it would ask again every 3 s, where only a person can help.
      loseStream(state)
      return new Response(null, { status: 204 })
    }
    if (state.now === 'open') state.now = 'lost'
    throw sessionForgotten(definition.name)
  }

  const pending = (answer: Promise<Response>) => {
    state.pending.add(answer)
    const settled = () => void state.pending.delete(answer)
    answer.then(settled, settled)
    return answer
  }

  return async (input, init) => {
    if (!isGet(init)) {
      pace.beginAnew()
      return pending(observed(input, init, () => {}))
    }
    await pace.wait(init?.signal)
    return pending(observed(input, init, pace.begin()))
  }
}

function isGet(init: RequestInit | undefined): boolean {
  return (init?.method ?? 'GET') === 'GET'
}

function isOfEvents({ headers }: Response): boolean {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase() === 'text/event-stream'
}

/** The id of the request that is sent; a notification and an answer have none that anything is said to. */
function requestIn(init: RequestInit | undefined): RequestId | undefined {
  if (typeof init?.body !== 'string') return undefined
  const { id, method } = JSON.parse(init.body) as { id?: RequestId; method?: string }
  return method === undefined ? undefined : id
}

function tooLongAnswer(
  { name, url }: HttpServerDefinition,
  { status }: Response,
  limit: number,
): ResponseInvalidError {
  return new ResponseInvalidError({
    message: `An answer of ${name} (HTTP ${status}) was not used: it is larger than ${limit / 1_048_576} MB.`,
    remedy: 'Ask this server for less at a time (a page, a filter): there is no setting for more.',
    url: shownUrl(url),
    status,
  })
}

function loseStream(state: TransportState, loss?: LatchkeyError): void {
  if (state.now !== 'open') return
  state.now = 'lost'
  if (loss) state.loss = loss
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
