import type { ServerLogin } from '../credentials/server-login.ts'
import type { ChallengeSummary } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { challengeOf } from '../oauth/challenge.ts'
import type { Fetch } from '../ports.ts'
import { sendToServer } from './mcp-exchange.ts'
import type { Send, Sendable } from './sendable.ts'

/**
 * Sends with the stored access token: renewed ahead of expiry, renewed and replayed once on 401. Without a login the
 * request goes out bare, as a server may ask for nothing.
 *
 * @throws from the returned function: `login_required` with what the server said, `insufficient_scope`
 */
export function createOAuthSend(login: ServerLogin, fetch: Fetch, emit: EventListener): Send {
  const sendWith = (request: Sendable, tokens: TokenSet | undefined) =>
    sendToServer(
      request,
      async ({ url, headers, init }) => ({ url, headers: withToken(headers, tokens), init }),
      fetch,
    )

  return async (request) => {
    const tokens = await login.keeper.usable()
    const { byGrant } = login
    let used = tokens
    let response = await sendWith(request, tokens)
    if (response.status === 401) {
      await response.body?.cancel()
      // Without a token, somebody may have signed in since.
      const newer =
        (await (tokens ? login.keeper.renew(tokens.access_token) : login.keeper.usable())) ??
        (await byGrant?.obtain(told(response, login, emit)))
      if (!newer) throw loginRequired(response, login, emit)
      used = newer
      response = await sendWith(request, newer)
    }
    if (response.status === 401) {
      await response.body?.cancel()
      if (byGrant) throw await byGrant.refused(told(response, login, emit), (cause) => login.refused(cause))
      throw loginRequired(response, login, emit)
    }
    if (response.status === 403 && byGrant) {
      const wider = await byGrant.widen(challengeOf(response), used)
      if (wider) {
        await response.body?.cancel()
        response = await sendWith(request, wider)
      }
    }
    if (response.status === 403) await throwIfScopeIsMissing(response, login, emit)
    return response
  }
}

function withToken(headers: Headers, tokens: TokenSet | undefined): Headers {
  const signed = new Headers(headers)
  signed.delete('authorization')
  if (tokens) signed.set('authorization', `Bearer ${tokens.access_token}`)
  return signed
}

function loginRequired(response: Response, login: ServerLogin, emit: EventListener): Error {
  return login.required(told(response, login, emit))
}

function told(response: Response, login: ServerLogin, emit: EventListener): ChallengeSummary {
  const server = login.server.name
  const { scheme, ...said } = challengeOf(response)
  emit({ type: 'challenge_received', server, status: response.status, ...(scheme && { scheme }), ...said })
  return { scheme, ...said }
}

/** A refresh cannot widen a scope (RFC 6749 §6), so nothing can be done without the person. */
async function throwIfScopeIsMissing(
  response: Response,
  login: ServerLogin,
  emit: EventListener,
): Promise<void> {
  const challenge = challengeOf(response)
  if (challenge.error !== 'insufficient_scope') return
  await response.body?.cancel()
  told(response, login, emit)
  throw login.lacksScope(challenge)
}
