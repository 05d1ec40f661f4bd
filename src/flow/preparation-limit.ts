import { NetworkFailedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { Stage } from '../events.ts'
import type { FlowContext } from './context.ts'

/** For everything that servers are asked before a person is, or a token is asked for, in milliseconds. */
const LIMIT = 90_000

/** The request that was made last. */
interface Question {
  readonly stage: Stage
  readonly url: string
}

/**
 * Lets `prepare` ask servers, all requests, redirects and waits together for no longer than the limit: each has a limit of
 * its own, but how many there are is up to the servers. Nothing that waits for a person belongs in it.
 *
 * @param url what is asked first
 * @throws `network_failed` when the time is up
 */
export async function withinPreparationLimit<T>(
  url: string,
  context: FlowContext,
  prepare: (context: FlowContext) => Promise<T>,
): Promise<T> {
  const { clock, server, signal } = context
  const controller = new AbortController()
  let last: Question = { stage: 'probe', url }
  const limited: FlowContext = {
    ...context,
    signal: signal ? AbortSignal.any([signal, controller.signal]) : controller.signal,
    fetch: (stage, options) => {
      const fetch = context.fetch(stage, options)
      return (input, init) => {
        last = { stage, url: input instanceof Request ? input.url : String(input) }
        return fetch(input, init)
      }
    },
  }
  let cancel = () => {}
  // Not left to the signal alone: nothing aborts the look-up of a name.
  const timeUp = new Promise<never>((_, reject) => {
    cancel = clock.setTimer(() => {
      const error = tooLong(server, last)
      controller.abort(error)
      reject(error)
    }, LIMIT)
  })
  try {
    return await Promise.race([timeUp, prepare(limited)])
  } finally {
    cancel()
  }
}

function tooLong(server: string, { stage, url: asked }: Question): NetworkFailedError {
  const url = shownUrl(asked)
  const [doing, wayOut] = stage === 'registration' ? REGISTRATION : stage === 'probe' ? PROBE : DISCOVERY
  return new NetworkFailedError({
    message: `${server} was given up after ${LIMIT / 1000} s: latchkey was still ${doing} (${url}).`,
    remedy: `Try again later; nothing stored was changed.${wayOut}`,
    url,
  })
}

const PROBE = ['asking the server what it wants', ''] as const
const DISCOVERY = [
  'looking for the authorization server',
  ' If you know the authorization server, give its metadata under `auth.oauth_provider`: then none is looked for.',
] as const
const REGISTRATION = [
  'registering a client',
  ' A client that was registered by hand (`auth.client_id`) needs no registration.',
] as const
