import type { AuthorizationRequest } from '../oauth/authorization-request.ts'
import type { ValidatedResponse } from '../oauth/authorization-response.ts'
import type { DpopKey } from '../oauth/dpop-key.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import { processTokenAnswer, requestCodeExchange, type TokenAnswer } from '../oauth/token-request.ts'
import { type Proven, withClientProof } from './client-proof.ts'
import type { FlowContext } from './context.ts'
import { tokenRequestContext } from './dpop.ts'
import type { ObtainedClient } from './obtain-client.ts'

/** Whose code it is, where it is exchanged, and the key that the tokens are bound to. */
export interface CodeExchange {
  readonly metadata: ServerMetadata
  readonly client: ObtainedClient
  readonly dpopKey: DpopKey | undefined
}

/**
 * Exchanges the code of a response that was judged (RFC 6749 §4.1.3).
 *
 * @throws `token_request_refused`, `redirect_uri_refused`, `network_failed`, `response_invalid`
 */
export function exchangeCode(
  response: ValidatedResponse,
  authorization: AuthorizationRequest,
  { metadata, client, dpopKey }: CodeExchange,
  context: FlowContext,
): Promise<Proven<TokenAnswer>> {
  return withClientProof(client, metadata, async (as) => {
    const requests = tokenRequestContext(dpopKey, context)
    const answer = await requestCodeExchange(metadata, as, response, authorization, requests)
    return processTokenAnswer(answer, metadata, as, authorization.redirectUri, dpopKey !== undefined)
  })
}
