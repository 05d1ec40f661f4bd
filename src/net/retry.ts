/** Waits before the second and third try, in milliseconds. */
const DELAYS = [500, 2_000, 8_000]
/** The longest `Retry-After` that is waited for unless somebody says otherwise, in milliseconds. */
const RETRY_AFTER_LIMIT = 60_000

/** The wait after try number `attempt`, with up to 25 % of jitter so that many clients do not come back together. */
export function retryDelay(attempt: number): number {
  const delay = DELAYS[Math.min(attempt, DELAYS.length) - 1]!
  return delay * (0.75 + Math.random() * 0.25)
}

/** `Retry-After` in milliseconds (RFC 9110 §10.2.3: seconds or a date), or `too long` to wait for. */
export function readRetryAfter(
  response: Response,
  now: number,
  limit = RETRY_AFTER_LIMIT,
): number | 'too long' | undefined {
  const value = response.headers.get('retry-after')
  if (value === null) return undefined
  // `Date.parse` alone makes a date of almost anything, of "-5" too; an HTTP date begins with its weekday.
  const date = /^[a-z]/i.test(value) ? Date.parse(value) : Number.NaN
  const delay = /^\d+$/.test(value) ? Number(value) * 1000 : date - now
  if (Number.isNaN(delay)) return undefined
  return delay > limit ? 'too long' : Math.max(0, delay)
}
