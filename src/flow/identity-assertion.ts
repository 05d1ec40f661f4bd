import type { IdentityProvider } from '../definitions.ts'
import { TokenRequestRefusedError } from '../errors/index.ts'
import { chooseAuthenticationMethod } from '../oauth/client-authentication.ts'
import {
  type GrantParameters,
  processIdentityAssertion,
  requestIdentityAssertion,
} from '../oauth/grant-request.ts'
import { assertNoTokenError, type TokenEndpoint } from '../oauth/token-request.ts'
import type { FlowContext } from './context.ts'
import { discoveryFailure } from './discovery-failure.ts'
import { DiscoverySearch } from './discovery-search.ts'
import { withinPreparationLimit } from './preparation-limit.ts'
import { readSecret } from './secret.ts'

export interface IdentityRequest extends GrantParameters {
  readonly idp: IdentityProvider
  /** Issuer of the authorization server that the ID-JAG is for. */
  readonly audience: string
}

/**
 * Gets an ID-JAG at the organisation's identity provider: for one authorization server, one resource, and one use
 * (MCP enterprise-managed authorization; draft-ietf-oauth-identity-assertion-authz-grant §4).
 *
 * @throws `token_request_refused`, `response_invalid`, `network_failed`, `discovery_failed`, `secret_unavailable`
 */
export async function identityAssertion(
  { idp, ...asked }: IdentityRequest,
  context: FlowContext,
): Promise<string> {
  const { supported, ...endpoint } = await tokenEndpoint(idp, context)
  context.judgeUrl(endpoint.token_endpoint, 'token_endpoint')
  const idToken = (await readSecret({ settings: idp, name: 'id_token', key: 'auth.idp' }, context))!
  const secret = await readSecret({ settings: idp, name: 'client_secret', key: 'auth.idp' }, context)
  const client = {
    client_id: idp.client_id,
    ...(secret !== undefined && { client_secret: secret }),
    token_endpoint_auth_method: chooseAuthenticationMethod(supported, secret !== undefined),
  }
  const answer = await requestIdentityAssertion(
    endpoint,
    client,
    { ...asked, idToken },
    { fetch: context.fetch('token') },
  )
  try {
    assertNoTokenError(answer, endpoint)
  } catch (error) {
    throw error instanceof TokenRequestRefusedError ? refused(error) : error
  }
  return processIdentityAssertion(answer)
}

async function tokenEndpoint(
  { issuer, token_endpoint }: IdentityProvider,
  context: FlowContext,
): Promise<TokenEndpoint & { supported?: readonly string[] | undefined }> {
  if (token_endpoint !== undefined)
    return { issuer: issuer ?? new URL(token_endpoint).origin, token_endpoint }
  const metadata = await withinPreparationLimit(issuer!, context, async (limited) => {
    const search = new DiscoverySearch(limited, { missingPkce: true }, ['token_endpoint'])
    const found = await search.firstServer([issuer!])
    if (!found) throw discoveryFailure({ serverUrl: issuer!, challenge: undefined }, search.attempts)
    return found
  })
  return {
    issuer: metadata.issuer,
    token_endpoint: metadata.token_endpoint,
    supported: metadata.token_endpoint_auth_methods_supported,
  }
}

function refused(error: TokenRequestRefusedError): TokenRequestRefusedError {
  return new TokenRequestRefusedError({
    message: `The identity provider: ${error.summary}`,
    remedy:
      'An ID token that has ended has to be got anew where `auth.idp` reads it; else check the client under `auth.idp`, and that it may reach this application (cross-app access).',
    issuer: error.issuer,
    error: error.error,
    status: error.status,
    cause: error,
  })
}
