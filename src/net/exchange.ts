import { isEcho, withoutEcho } from '../echo.ts'
import { bareCause } from '../errors/bare-cause.ts'
import { isLatchkeyError, NetworkFailedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { EventListener, Stage } from '../events.ts'
import { ADDRESS_REFUSED, type Clock, type Reach, type ReachingFetch } from '../ports.ts'
import { rememberSent, type SentLately, secretsOf } from '../sent-secrets.ts'
import { refusedAddress } from './url-policy.ts'

export interface ExchangeParts {
  readonly fetch: ReachingFetch
  readonly clock: Clock
  readonly emit: EventListener
  /** Name of the server in events. */
  readonly server: string
  readonly userAgent: string
  /** What this server was sent so far. */
  readonly sent: SentLately
}

/** One request. `attempt` counts from 1; `timeout` in milliseconds covers the body as well. */
export interface ExchangeRequest {
  readonly input: string | Request
  readonly init: RequestInit
  readonly stage: Stage
  readonly attempt: number
  readonly reach: Reach
  readonly timeout?: number
}

/**
 * One HTTP exchange that is told of, without following redirects.
 *
 * @throws `network_failed` when no answer came; `url_refused` when the name leads out of reach; the abort reason of the
 *   caller's own signal
 */
export async function exchange(
  { fetch, clock, emit, server, userAgent, sent }: ExchangeParts,
  { input, init, stage, attempt, reach, timeout }: ExchangeRequest,
): Promise<Response> {
  const started = clock.monotonic()
  const duration = () => Math.round(clock.monotonic() - started)
  const request = input instanceof Request ? input : undefined
  const url = request?.url ?? String(input)
  const method = request?.method ?? init.method ?? 'GET'
  const headers = withUserAgent(init.headers ?? request?.headers, userAgent)
  const secrets = secretsOf({ ...init, headers })
  sent.note(secrets)
  // The program chose where an MCP request goes; and there are many of them.
  const shown = stage === 'mcp' ? shownUrl(url) : withoutSentSecrets(url, sent.secrets.credentials)
  const told = { type: 'http_exchange', server, stage, method, url: shown, attempt } as const
  const own = init.signal ?? request?.signal
  const limit = timeout === undefined ? undefined : timeLimit(clock, timeout)
  const signals = [own, limit].filter((signal) => signal != null)
  try {
    const given: RequestInit = {
      ...init,
      headers,
      redirect: 'manual',
      ...(signals.length > 0 && { signal: signals.length === 1 ? signals[0]! : AbortSignal.any(signals) }),
    }
    const response = rememberSent(await fetch(input, given, reach), sent.secrets)
    const type = response.headers.get('content-type')
    emit({
      ...told,
      status: response.status,
      ...(type && { content_type: shownType(type, sent.secrets.all) }),
      duration: duration(),
    })
    return response
  } catch (error) {
    if (own?.aborted || isLatchkeyError(error)) throw error
    const failure = limit?.aborted ? `no answer within ${timeout! / 1000} s` : reasonOf(error)
    emit({ ...told, duration: duration(), failure })
    if (failure === ADDRESS_REFUSED) throw refusedAddress(url, `${stage} URL`, error)
    throw new NetworkFailedError({
      message: `${new URL(url).host} could not be reached (${failure}).`,
      remedy:
        'Check the address and the network (proxy, VPN, certificate), then try again; nothing stored was changed.',
      url: shown,
      cause: bareCause(error),
    })
  }
}

/** A server may have named the URL, of what it had been sent before. */
function withoutSentSecrets(url: string, credentials: readonly string[]): string {
  const shown = shownUrl(url)
  return isEcho(shown, credentials) ? `${new URL(url).origin}/ ${withoutEcho(shown, credentials)}` : shown
}

const USUAL_TYPE = /^(application\/json|text\/(html|plain|event-stream))(; ?charset=utf-8)?$/i

function shownType(type: string, secrets: readonly string[]): string {
  return USUAL_TYPE.test(type) ? type : withoutEcho(type, secrets).slice(0, 100)
}

/** Not cancelled when the headers are here: it limits the body too, and does not keep the process alive. */
function timeLimit(clock: Clock, timeout: number): AbortSignal {
  const controller = new AbortController()
  const reason = new DOMException(`no answer within ${timeout / 1000} s`, 'TimeoutError')
  clock.setTimer(() => controller.abort(reason), timeout, { unref: true })
  return controller.signal
}

function withUserAgent(headers: HeadersInit | undefined, userAgent: string): Headers {
  const named = new Headers(headers)
  // oauth4webapi sets its own name; a caller of the authorized fetch may have a better one.
  if (!named.has('user-agent') || named.get('user-agent')?.startsWith('oauth4webapi'))
    named.set('user-agent', userAgent)
  return named
}

/** The reason that `fetch` hides in `cause`: `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
export function reasonOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown }
    if (typeof code === 'string') return code
    if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  }
  return error instanceof Error ? error.message : 'unknown failure'
}
