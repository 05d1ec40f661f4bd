import { isEcho } from '../echo.ts'
import { isLatchkeyError } from '../errors/index.ts'
import { isUrl } from '../errors/shown-url.ts'
import type { Stage } from '../events.ts'
import type { Fetch, SignTry, StageOptions } from '../ports.ts'
import { sentSecrets } from '../sent-secrets.ts'
import { sleep } from '../sleep.ts'
import { type ExchangeParts, exchange, reasonOf } from './exchange.ts'
import { readRetryAfter, retryDelay } from './retry.ts'
import type { UrlPolicy } from './url-policy.ts'
import type { WithinReach } from './within-reach.ts'

/** One try of a machine request, body included, in milliseconds. */
const REQUEST_TIMEOUT = 15_000
const MAX_TRIES = 3
const MAX_REDIRECTS = 5
const REDIRECTS = [301, 302, 303, 307, 308]
const NOT_CONNECTED = ['ECONNREFUSED', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']

interface ProtocolRequest {
  readonly url: string
  readonly init: RequestInit
  readonly stage: Stage
  readonly sign: SignTry | undefined
}

/** What decides where a request may go. */
export interface Judging {
  readonly policy: UrlPolicy
  readonly within: WithinReach
}

/**
 * The `fetch` of one stage of the protocol: judges every URL and redirect hop, limits time, and tries again what may be
 * sent again: GETs, a repeatable POST, one that was not sent at all, answers that say "not now".
 *
 * @throws from the returned fetch: `url_refused`, `network_failed`; the caller's own abort reason
 */
export function createProtocolFetch(
  stage: Stage,
  parts: ExchangeParts,
  judging: Judging,
  { sign, repeatable = false, tries = MAX_TRIES, retryAfterLimit }: StageOptions = {},
): Fetch {
  return async (input, init = {}) => {
    const request = { url: input instanceof Request ? input.url : String(input), init, stage, sign }
    const mayRepeat = repeatable || isGet(init)
    for (let attempt = 1; ; attempt += 1) {
      const last = attempt >= tries
      let delay = retryDelay(attempt)
      try {
        const response = await followRedirects(parts, judging, request, attempt)
        const retryAfter = readRetryAfter(response, parts.clock.now(), retryAfterLimit)
        if (last || !isNotNow(response, mayRepeat) || retryAfter === 'too long') return response
        await response.body?.cancel()
        delay = retryAfter ?? delay
      } catch (error) {
        // A POST without an answer may have been carried out: repeating it could spend a code twice.
        if (last || !isLatchkeyError(error) || error.code !== 'network_failed') throw error
        if (!mayRepeat && !wasNotSent(error.cause)) throw error
      }
      await sleep(parts.clock, delay, init.signal)
    }
  }
}

/** Metadata may be redirected (each hop judged anew); a POST carries credentials and is never sent on. */
async function followRedirects(
  parts: ExchangeParts,
  { policy, within }: Judging,
  { url, init, stage, sign }: ProtocolRequest,
  attempt: number,
): Promise<Response> {
  let input = url
  let hopInit = init
  for (let hop = 0; ; hop += 1) {
    const judged = policy.judge(input, `${stage} URL`)
    const signed = sign ? await sign(input, hopInit) : hopInit
    const request = { input, init: signed, stage, attempt, timeout: REQUEST_TIMEOUT }
    const response = await within(judged, (reach) => exchange(parts, { ...request, reach }))
    const target = isGet(init) && hop < MAX_REDIRECTS ? redirectTarget(response, input) : undefined
    if (!target) return response
    await response.body?.cancel()
    if (target.origin !== judged.origin) hopInit = withoutHeadersOfTheUser(hopInit)
    input = target.href
  }
}

function redirectTarget(response: Response, url: string): URL | undefined {
  const location = response.headers.get('location')
  if (location === null || !REDIRECTS.includes(response.status)) return undefined
  if (!isUrl(location, url)) return undefined
  const target = new URL(location, url)
  // It would be told of, and end in the logs of everybody on the way.
  return isEcho(target.href, sentSecrets(response).credentials) ? undefined : target
}

/** A probe carries the configured headers, API keys among them: they are for the configured origin alone. */
function withoutHeadersOfTheUser(init: RequestInit): RequestInit {
  const accept = new Headers(init.headers).get('accept')
  return { ...init, headers: accept === null ? {} : { accept } }
}

/** A POST is repeated only where the server itself says so: it did nothing yet (429), or when to come back. */
function isNotNow({ status, headers }: Response, mayRepeat: boolean): boolean {
  if (mayRepeat) return status === 429 || status >= 500
  return status === 429 || (status === 503 && headers.has('retry-after'))
}

/** The connection was never there, so nobody can have acted on the request. */
function wasNotSent(error: unknown): boolean {
  return NOT_CONNECTED.includes(reasonOf(error))
}

function isGet({ method = 'GET' }: RequestInit): boolean {
  return method === 'GET'
}
