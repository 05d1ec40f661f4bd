import { ConnectFailedError, isLatchkeyError, type LatchkeyError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'

/** Our own error inside what the SDK threw around it. */
export function findLatchkeyError(error: unknown): LatchkeyError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (isLatchkeyError(cause)) return cause
  }
  return undefined
}

/** The HTTP status that an error of the SDK, or one that was made of it, tells of. */
export function statusOf(error: unknown): number | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    // The status of another error of ours may be an authorization server's.
    if (isLatchkeyError(cause) && !(cause instanceof ConnectFailedError)) return undefined
    const { status } = cause as { status?: unknown }
    if (typeof status === 'number') return status
  }
  return undefined
}

/** @param status of the last answer, where the error does not tell it */
export function connectFailed(server: string, cause: unknown, status?: number): ConnectFailedError {
  return new ConnectFailedError({
    message: `${server} could not be connected: ${said(cause)}.`,
    remedy: remedy(statusOf(cause) ?? status),
    server,
    cause,
  })
}

/** @param limit in milliseconds */
export function notInTime(server: string, limit: number, wayOut: string): ConnectFailedError {
  const cause = new DOMException(`no answer within ${limit / 1000} s`, 'TimeoutError')
  return new ConnectFailedError({
    message: `${server} could not be connected: ${cause.message}.`,
    remedy: `Try again later, or ${wayOut}.`,
    server,
    cause,
  })
}

/** Of a server that was tried both ways: most of them meant the first answer. */
export function neitherConnected(
  server: string,
  http: ConnectFailedError,
  sse: ConnectFailedError,
): ConnectFailedError {
  return new ConnectFailedError({
    message: `${server} could not be connected: by Streamable HTTP ${said(http.cause)}, by SSE ${said(sse.cause)}.`,
    remedy: sse.remedy,
    server,
    cause: http.cause,
  })
}

function said(cause: unknown): string {
  return cause instanceof Error ? quoteServerText(cause.message) : 'unknown reason'
}

function remedy(status = 0): string {
  if (status >= 500) return 'The server has a problem; try again later.'
  if (status === 403)
    return 'The server knows who asks and denies it: check what this account or token may do there.'
  return 'Check `url` (the whole MCP endpoint, often ending in /mcp or /sse), or `command` and `args`; `--debug` shows every request.'
}
