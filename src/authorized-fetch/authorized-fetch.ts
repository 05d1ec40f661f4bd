import type { Runtime } from '../credentials/runtime.ts'
import { type ServerLogin, serverLogin } from '../credentials/server-login.ts'
import type { HttpServerDefinition } from '../definitions.ts'
import type { Fetch } from '../ports.ts'
import { sendToServer } from './mcp-exchange.ts'
import { createOAuthSend } from './oauth.ts'
import { toSendable } from './sendable.ts'
import { createStaticSend } from './static-credential.ts'

/**
 * A `fetch` that carries the server's credential. It attaches, renews and replays by itself and never waits for a
 * person: when one is needed it throws.
 *
 * The credential and the configured headers go only to the origin of the configured URL; a request to any other
 * origin is sent bare.
 *
 * @param login shared with the sign-in of a session, so that both see the same tokens
 * @throws from the returned fetch: `login_required`, `credential_refused`, `insufficient_scope`, `network_failed`
 */
export function createAuthorizedFetch(
  definition: HttpServerDefinition,
  runtime: Runtime,
  login?: ServerLogin,
): Fetch {
  const { name, url, headers } = definition
  const { origin } = new URL(url)
  const fetch = runtime.network(name, url).fetch('mcp')
  const its = login ?? serverLogin(definition, runtime)
  const send = its ? createOAuthSend(its, fetch, runtime) : createStaticSend(definition, fetch)
  return async (input, init) => {
    const request = await toSendable(input, runtime.signal ? withSignal(input, init, runtime.signal) : init)
    if (new URL(request.url).origin !== origin) return sendToServer(request, async (bare) => bare, fetch)
    for (const [header, value] of Object.entries(headers)) {
      if (!request.headers.has(header)) request.headers.set(header, value)
    }
    return send(request)
  }
}

/** The caller's own signal, where there is one, beside that of all the work. */
function withSignal(
  input: string | URL | Request,
  init: RequestInit | undefined,
  signal: AbortSignal,
): RequestInit {
  const own = init?.signal ?? (input instanceof Request ? input.signal : undefined)
  return { ...init, signal: own ? AbortSignal.any([own, signal]) : signal }
}
