import * as oauth from 'oauth4webapi'
import { ResponseInvalidError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { type Answer, readAnswer, stringMember } from './answer.ts'
import { type ClientInformation, clientAuthentication } from './client-authentication.ts'
import { withServerNonce } from './dpop.ts'
import { type RequestContext, requestOptions } from './request-options.ts'
import type { TokenEndpoint } from './token-request.ts'

/** The client of a request that names none: its assertion says who asks (RFC 7521 §4.1). */
export const NO_CLIENT: ClientInformation = { client_id: '', token_endpoint_auth_method: 'none' }

const GRANT = 'urn:ietf:params:oauth:grant-type:'
const TOKEN = 'urn:ietf:params:oauth:token-type:'

/** What is asked for, in every grant. */
export interface GrantParameters {
  readonly scope: string | undefined
  /** RFC 8707. */
  readonly resource: string | undefined
}

/** A token for the client itself (RFC 6749 §4.4.2). */
export function requestClientCredentials(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  parameters: GrantParameters,
  context: RequestContext,
): Promise<Answer> {
  return request(endpoint, client, 'client_credentials', { ...parameters }, context)
}

/** A token for a JWT that somebody else signed (RFC 7523 §2.1). */
export function requestJwtBearer(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  parameters: GrantParameters & { readonly assertion: string },
  context: RequestContext,
): Promise<Answer> {
  return request(endpoint, client, `${GRANT}jwt-bearer`, { ...parameters }, context)
}

export interface IdentityExchange extends GrantParameters {
  /** The issuer of the authorization server that the ID-JAG is for. */
  readonly audience: string
  readonly idToken: string
}

/** An ID token for an ID-JAG, at the identity provider (RFC 8693 §2.1, draft-ietf-oauth-identity-assertion-authz-grant). */
export function requestIdentityAssertion(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  { idToken, ...parameters }: IdentityExchange,
  context: RequestContext,
): Promise<Answer> {
  const exchange = {
    ...parameters,
    requested_token_type: `${TOKEN}id-jag`,
    subject_token: idToken,
    subject_token_type: `${TOKEN}id_token`,
  }
  return request(endpoint, client, `${GRANT}token-exchange`, exchange, context)
}

/**
 * The ID-JAG of an answer that is no OAuth error. Another kind of token must not be sent to the authorization server.
 *
 * @throws `response_invalid`
 */
export function processIdentityAssertion({ members, url, status, contentType }: Answer): string {
  const assertion = members && stringMember(members, 'access_token')
  const type = members && stringMember(members, 'issued_token_type')
  if (assertion !== undefined && type === `${TOKEN}id-jag`) return assertion
  throw new ResponseInvalidError({
    message: `The identity provider answered at ${url} with ${type === undefined ? 'no `issued_token_type`' : `a token of the type ${cleanServerText(type, 80)}`}, not with an ID-JAG.`,
    remedy: 'Its administrator has to allow this client the access to the application (cross-app access).',
    url,
    status,
    contentType,
  })
}

async function request(
  endpoint: TokenEndpoint,
  client: ClientInformation,
  grantType: string,
  parameters: Readonly<Record<string, string | undefined>>,
  context: RequestContext,
): Promise<Answer> {
  const sent = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return withServerNonce(context.dpop, async () => {
    const response = await oauth.genericTokenEndpointRequest(
      { ...endpoint },
      // oauth4webapi wants a name for the client also where it sends none.
      { client_id: client.client_id || 'none' },
      client.client_id === '' ? () => {} : clientAuthentication(client),
      grantType,
      sent,
      { ...requestOptions(context), headers: { accept: 'application/json' } },
    )
    return readAnswer(response, endpoint.token_endpoint)
  })
}
