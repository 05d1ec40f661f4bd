import type { Runtime } from '../credentials/runtime.ts'
import type { ServerLogin } from '../credentials/server-login.ts'
import type { EventListener } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { challengeOf, parseChallenges } from '../oauth/challenge.ts'
import { refusedProof } from '../oauth/dpop.ts'
import type { Fetch } from '../ports.ts'
import { sendToServer } from './mcp-exchange.ts'
import type { Send, Sendable } from './sendable.ts'
import { TokenHeader } from './token-header.ts'

/**
 * Sends with the stored access token: renewed ahead of expiry, renewed and replayed once on 401. Without a login the
 * request goes out bare, as a server may ask for nothing.
 *
 * @throws from the returned function: `login_required` with what the server said, `insufficient_scope`,
 *   `dpop_required`, `credential_refused` for a proof of possession that is refused
 */
export function createOAuthSend(
  login: ServerLogin,
  fetch: Fetch,
  { emit, clock }: Pick<Runtime, 'emit' | 'clock'>,
): Send {
  const header = new TokenHeader(clock)
  const sendOnce = (request: Sendable, tokens: TokenSet | undefined) =>
    sendToServer(request, header.attach(tokens), header.heeding(fetch, tokens))

  const sendWith = async (request: Sendable, tokens: TokenSet | undefined) => {
    const response = await sendOnce(request, tokens)
    if (!tokens?.dpop_key || proofErrorOf(response) !== 'use_dpop_nonce') return response
    // The nonce is remembered by now; without it, or with one that is refused, the second answer says the same.
    await response.body?.cancel()
    return sendOnce(request, tokens)
  }

  return async (request) => {
    const tokens = await login.keeper.usable()
    let response = await sendWith(request, tokens)
    await throwIfProofIsRefused(response, tokens, login)
    if (response.status === 401) {
      await response.body?.cancel()
      // Without a token, somebody may have signed in since.
      const newer = await (tokens ? login.keeper.renew(tokens.access_token) : login.keeper.usable())
      if (!newer) throw loginRequired(response, login, emit)
      response = await sendWith(request, newer)
      await throwIfProofIsRefused(response, newer, login)
    }
    if (response.status === 401) {
      await response.body?.cancel()
      throw loginRequired(response, login, emit)
    }
    if (response.status === 403) await throwIfScopeIsMissing(response, login, emit)
    return response
  }
}

function proofErrorOf(response: Response) {
  if (response.status !== 401) return undefined
  return refusedProof(parseChallenges(response.headers.get('www-authenticate')))
}

async function throwIfProofIsRefused(
  response: Response,
  tokens: TokenSet | undefined,
  login: ServerLogin,
): Promise<void> {
  const error = tokens?.dpop_key && proofErrorOf(response)
  if (!error) return
  await response.body?.cancel()
  throw login.refusesProof(error)
}

function loginRequired(response: Response, login: ServerLogin, emit: EventListener): Error {
  const server = login.server.name
  const { scheme, ...said } = challengeOf(response)
  emit({ type: 'challenge_received', server, status: response.status, ...(scheme && { scheme }), ...said })
  return login.required({ scheme, ...said })
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
  const { scheme, ...said } = challenge
  const server = login.server.name
  emit({ type: 'challenge_received', server, status: response.status, ...(scheme && { scheme }), ...said })
  throw login.lacksScope(challenge)
}
