import { NetworkFailedError } from '../errors/index.ts'
import type { Answer } from '../oauth/answer.ts'
import { processTokenAnswer, requestRefresh, saysNothing } from '../oauth/token-request.ts'
import type { FlowContext } from './context.ts'
import { tokenRequestContext } from './dpop.ts'
import { clientOf, type TokenSet, tokenMembers } from './token-set.ts'

export type RefreshableTokens = TokenSet & { readonly refresh_token: string }

export interface RefreshOptions {
  /** What a configured client has; a dynamic one has it in its tokens. */
  readonly clientSecret: string | undefined
  /** Wait longer and try more often where the server does not answer. */
  readonly patient: boolean
}

/**
 * Trades a refresh token for new tokens (RFC 6749 §6), at the stored endpoint, as the stored client.
 * A refresh token that the answer leaves out stays valid and is kept, and so is the scope.
 *
 * Where the answer got lost the server may have spent the token. It is all there is, and servers with a leeway take it
 * again for some seconds: so it is sent again, soon.
 *
 * @throws `token_request_refused`, `network_failed`, `response_invalid`
 */
export async function refresh(
  tokens: RefreshableTokens,
  { clientSecret, patient }: RefreshOptions,
  context: FlowContext,
): Promise<TokenSet> {
  const client = clientOf(tokens, { client_secret: clientSecret })
  const parameters = { refreshToken: tokens.refresh_token, resource: tokens.resource }
  // No abort signal: once sent, the answer holds the only copy of a rotated refresh token.
  const tries = patient ? 3 : 2
  const requests = tokenRequestContext(tokens.dpop_key, context, { repeatable: true, tries })
  const ask = () => requestRefresh(tokens, client, parameters, requests)
  const first = await ask().catch(unlessBrokenOff)
  const answer = first && !saysNothing(first) ? first : await ask()
  const provesKey = tokens.dpop_key !== undefined
  const judged = await processTokenAnswer(answer, tokens, client, undefined, provesKey)
  const { expires_at: _expired, ...kept } = tokens
  return { ...kept, ...tokenMembers(judged, context.clock.now()) }
}

/** `undefined` for an answer of success that broke off. */
function unlessBrokenOff(error: unknown): Answer | undefined {
  if (error instanceof NetworkFailedError && error.status !== undefined && error.status < 300)
    return undefined
  throw error
}
