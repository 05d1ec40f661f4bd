import * as oauth from 'oauth4webapi'
import { type Answer, readAnswer, stringMember } from './answer.ts'
import { type ClientInformation, clientAuthentication } from './client-authentication.ts'
import { type RequestContext, requestOptions } from './request-options.ts'

export interface RevocationEndpoint {
  readonly issuer: string
  readonly revocation_endpoint: string
}

/** Asks the authorization server to forget a token (RFC 7009 §2.1). */
export async function requestRevocation(
  endpoint: RevocationEndpoint,
  client: ClientInformation,
  token: string,
  hint: 'refresh_token' | 'access_token',
  context: RequestContext,
): Promise<Answer> {
  const response = await oauth.revocationRequest(
    { ...endpoint },
    { client_id: client.client_id },
    clientAuthentication(client),
    token,
    { ...requestOptions(context), additionalParameters: { token_type_hint: hint } },
  )
  return readAnswer(response, endpoint.revocation_endpoint)
}

/** Whether the token is gone. An unknown token is answered 200 as well (RFC 7009 §2.2). */
export function processRevocation({ ok, members }: Answer): boolean {
  return ok && !(members && stringMember(members, 'error'))
}
