import { processTokenAnswer, requestRefresh } from '../oauth/token-request.ts'
import type { FlowContext } from './context.ts'
import { tokenRequestContext } from './dpop.ts'
import { clientOf, type TokenSet, tokenMembers } from './token-set.ts'

/**
 * Trades a refresh token for new tokens (RFC 6749 §6): one request, to the stored endpoint, as the stored client.
 * A refresh token that the answer leaves out stays valid and is kept, and so is the scope.
 *
 * @throws `token_request_refused`, `network_failed`, `response_invalid`
 */
export async function refresh(
  tokens: TokenSet & { readonly refresh_token: string },
  clientSecret: string | undefined,
  context: FlowContext,
): Promise<TokenSet> {
  const client = clientOf(tokens, { client_secret: clientSecret })
  const parameters = { refreshToken: tokens.refresh_token, resource: tokens.resource }
  // No abort signal: once sent, the answer holds the only copy of a rotated refresh token.
  const answer = await requestRefresh(
    tokens,
    client,
    parameters,
    tokenRequestContext(tokens.dpop_key, context),
  )
  const provesKey = tokens.dpop_key !== undefined
  const judged = await processTokenAnswer(answer, tokens, client, undefined, provesKey)
  const { expires_at: _expired, ...kept } = tokens
  return { ...kept, ...tokenMembers(judged, context.clock.now()) }
}
