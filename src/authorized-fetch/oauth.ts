import type { Runtime } from '../credentials/runtime.ts'
import type { ServerLogin } from '../credentials/server-login.ts'
import { untilAborted } from '../credentials/until-aborted.ts'
import type { ChallengeSummary } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { asksForMoreScope, challengeOf, parseChallenges } from '../oauth/challenge.ts'
import { refusedProof } from '../oauth/dpop.ts'
import type { Fetch } from '../ports.ts'
import { sendToServer } from './mcp-exchange.ts'
import { operationOf } from './operation.ts'
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
    const taken = login.authorization.sending(tokens)
    let response = await sendOnce(request, tokens)
    if (tokens?.dpop_key && proofErrorOf(response) === 'use_dpop_nonce') {
      await response.body?.cancel()
      // The nonce is remembered by now.
      response = await sendOnce(request, tokens)
    }
    await throwIfProofIsRefused(response, tokens, login)
    if (response.status !== 401 && response.status < 500) taken()
    return response
  }

  /** The answer, unless it says that a person, or more scope for a grant, is needed. */
  const judged = async (
    request: Sendable,
    response: Response,
    used: TokenSet | undefined,
  ): Promise<Response> => {
    const { byGrant } = login
    if (response.status === 401) {
      await response.body?.cancel()
      const challenge = toldChallenge(response, login, emit)
      throw byGrant
        ? await byGrant.refused(challenge, (cause) => login.refused(cause))
        : login.required(challenge)
    }
    if (!lacksScope(response)) return response
    const operation = operationOf(request)
    const wider = await byGrant?.widen(challengeOf(response), used, operation)
    await response.body?.cancel()
    const again = wider && (await sendWith(request, wider))
    if (again && !lacksScope(again)) {
      byGrant?.letIn(operation)
      return again
    }
    await again?.body?.cancel()
    throw scopeRequired(again ?? response, login, emit)
  }

  return async (request) => {
    const { signal } = request.init
    const usable = () => untilAborted(liveTokens(login), signal)
    const tokens = await usable()
    const response = await sendWith(request, tokens)
    if (response.status === 401) {
      await response.body?.cancel()
      // Without a token, somebody may have signed in since.
      const newer =
        (await (tokens ? untilAborted(login.keeper.renew(tokens.access_token), signal) : usable())) ??
        (await login.byGrant?.obtain(toldChallenge(response, login, emit)))
      if (!newer) throw loginRequired(response, login, emit)
      return judged(request, await sendWith(request, newer), newer)
    }
    if (!lacksScope(response)) return response
    // Somebody else may have stepped up since: their token is tried before anybody is asked.
    const stored = await login.keeper.read()
    if (!stored || stored.access_token === tokens?.access_token) return judged(request, response, tokens)
    await response.body?.cancel()
    return judged(request, await sendWith(request, stored), stored)
  }
}

/** @throws `login_required` for a login that is over: it must not silently become an anonymous request */
async function liveTokens(login: ServerLogin): Promise<TokenSet | undefined> {
  const tokens = await login.keeper.usable()
  if (tokens !== 'over') return tokens
  if (login.byGrant) return undefined
  throw login.required(undefined, 'the login has expired')
}

/** A refresh cannot widen a scope (RFC 6749 §6), so nothing can be done without the person. */
function lacksScope(response: Response): boolean {
  return response.status === 403 && asksForMoreScope(challengeOf(response))
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
  return login.required(toldChallenge(response, login, emit))
}

function scopeRequired(response: Response, login: ServerLogin, emit: EventListener): Error {
  return login.lacksScope(toldChallenge(response, login, emit))
}

function toldChallenge(response: Response, { server }: ServerLogin, emit: EventListener): ChallengeSummary {
  const { scheme, ...said } = challengeOf(response)
  emit({
    type: 'challenge_received',
    server: server.name,
    status: response.status,
    ...(scheme && { scheme }),
    ...said,
  })
  return { scheme, ...said }
}
