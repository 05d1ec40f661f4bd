import { bareCause } from '../errors/bare-cause.ts'
import { isLatchkeyError, StoreFailedError } from '../errors/index.ts'

/** What an error of a driver says, and what the person who runs the database can do about it. */
export interface Diagnosis {
  /** A short code of the driver or of the database: `ECONNREFUSED`, `42P01`, `NOAUTH`. */
  readonly code: string
  readonly remedy: string
}

export interface Medium {
  /** `Redis (latchkey:)`, `PostgreSQL (latchkey_credentials)`. Names no address: one may hold a password. */
  readonly location: string
  diagnose(error: unknown): Diagnosis
  /** Milliseconds until an answer is no longer waited for. */
  readonly patience: number
}

/** Codes of Node's sockets, the same under every driver. */
const NETWORK =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENOENT)$/

/**
 * Runs one operation of a driver. Its errors become `store_failed`, with a code and a remedy but without its text, which may
 * hold addresses and values; and so does an answer that does not come, since drivers wait for a lost server without end.
 */
export async function asStoreFailure<T>(
  medium: Medium,
  act: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(noAnswer(medium, act))
      // A command that was not sent yet must not be sent when the server is back.
      controller.abort()
    }, medium.patience)
  })
  try {
    return await Promise.race([work(controller.signal), late])
  } catch (error) {
    if (isLatchkeyError(error)) throw error
    const { code, remedy } = medium.diagnose(error)
    throw new StoreFailedError({
      location: medium.location,
      message: `${medium.location} could not be ${act} (${code}).`,
      remedy,
      cause: bareCause(error),
    })
  } finally {
    clearTimeout(timer)
  }
}

/** The code of a socket's error, also where a driver wrapped several of them. */
export function networkCode(error: unknown): string | undefined {
  const { code, errors, cause } = (error ?? {}) as { code?: unknown; errors?: unknown; cause?: unknown }
  if (typeof code === 'string' && NETWORK.test(code)) return code
  if (Array.isArray(errors) && errors.length > 0) return networkCode(errors[0])
  return cause === undefined ? undefined : networkCode(cause)
}

function noAnswer({ location, patience }: Medium, act: string): StoreFailedError {
  return new StoreFailedError({
    location,
    message: `${location} could not be ${act}: no answer within ${patience / 1000} s.`,
    remedy: 'Check that the database runs and can be reached, and that its connections are not used up.',
  })
}
