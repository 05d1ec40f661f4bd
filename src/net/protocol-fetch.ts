import { NetworkFailedError } from '../errors/index.ts'
import type { Stage } from '../events.ts'
import type { Fetch } from '../ports.ts'
import { type ExchangeParts, exchange } from './exchange.ts'
import { readRetryAfter, retryDelay, sleep } from './retry.ts'
import type { UrlPolicy } from './url-policy.ts'

/** One try of a machine request, body included, in milliseconds. */
const REQUEST_TIMEOUT = 15_000
const MAX_TRIES = 3
const MAX_REDIRECTS = 5

interface ProtocolRequest {
  readonly url: string
  readonly init: RequestInit
  readonly stage: Stage
}

/**
 * The `fetch` of one stage of the protocol: judges every URL and redirect hop, limits time, tries GETs and answers
 * that say "not now" (429, 503) again.
 *
 * @throws from the returned fetch: `url_refused`, `network_failed`; the caller's own abort reason
 */
export function createProtocolFetch(stage: Stage, parts: ExchangeParts, policy: UrlPolicy): Fetch {
  return async (input, init = {}) => {
    const request = { url: input instanceof Request ? input.url : String(input), init, stage }
    const idempotent = isGet(init)
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await followRedirects(parts, policy, request, attempt).catch((error: Error) => error)
      const last = attempt === MAX_TRIES
      if (outcome instanceof Error) {
        // A POST without an answer may have been carried out: repeating it could spend a code or a token twice.
        const worthIt = outcome instanceof NetworkFailedError && idempotent
        if (last || !worthIt) throw outcome
        await sleep(parts.clock, retryDelay(attempt), init.signal)
        continue
      }
      const retryAfter = readRetryAfter(outcome, parts.clock.now())
      if (last || !isNotNow(outcome.status, idempotent) || retryAfter === 'too long') return outcome
      await outcome.body?.cancel()
      await sleep(parts.clock, retryAfter ?? retryDelay(attempt), init.signal)
    }
  }
}

/** Metadata may be redirected (each hop judged anew); a POST carries credentials and is never sent on. */
async function followRedirects(
  parts: ExchangeParts,
  policy: UrlPolicy,
  { url, init, stage }: ProtocolRequest,
  attempt: number,
): Promise<Response> {
  let target = url
  for (let hop = 0; ; hop += 1) {
    policy.judge(target, `${stage} URL`)
    const response = await exchange(parts, { input: target, init, stage, attempt, timeout: REQUEST_TIMEOUT })
    const location = response.headers.get('location')
    const redirected = response.status >= 301 && response.status <= 308 && location !== null
    if (!redirected || !isGet(init) || hop === MAX_REDIRECTS) return response
    await response.body?.cancel()
    target = new URL(location, target).href
  }
}

function isNotNow(status: number, idempotent: boolean): boolean {
  return status === 429 || status === 503 || (idempotent && status >= 500)
}

function isGet({ method = 'GET' }: RequestInit): boolean {
  return method === 'GET'
}
