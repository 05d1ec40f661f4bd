import type { GrantType, OAuthSettings } from '../definitions.ts'
import { TokenRequestRefusedError } from '../errors/index.ts'
import type { ClientKind } from '../events.ts'
import type { Answer } from '../oauth/answer.ts'
import { type ClientInformation, chooseAuthenticationMethod } from '../oauth/client-authentication.ts'
import type { DpopKey } from '../oauth/dpop-key.ts'
import {
  type GrantParameters,
  NO_CLIENT,
  requestClientCredentials,
  requestJwtBearer,
} from '../oauth/grant-request.ts'
import { RESOURCE_REMEDY } from '../oauth/resource-remedy.ts'
import { importSigningKey } from '../oauth/signing-key.ts'
import { processTokenAnswer, type TokenAnswer, type TokenEndpoint } from '../oauth/token-request.ts'
import type { FlowContext } from './context.ts'
import { tokenRequestContext } from './dpop.ts'
import { identityAssertion } from './identity-assertion.ts'
import { readSecret } from './secret.ts'

/** Settings that name a grant: no person signs in. */
export type GrantSettings = OAuthSettings & { readonly grant: GrantType }

export function usesGrant(settings: OAuthSettings): settings is GrantSettings {
  return settings.grant !== undefined
}

/** The client of the configuration at the authorization server, with its secret or key read now. */
export interface GrantClient {
  readonly kind: ClientKind
  readonly client: ClientInformation
}

/**
 * @param supported `token_endpoint_auth_methods_supported`; of a stored login the one method it was got with
 * @throws `secret_unavailable`, `config_invalid` for a key that cannot be used
 */
export async function grantClient(
  settings: GrantSettings,
  supported: readonly string[] | undefined,
  context: FlowContext,
): Promise<GrantClient> {
  const { client_id, client_metadata_url, signing_algorithm, key_id, assertion_audience } = settings
  const id = client_id ?? client_metadata_url
  if (id === undefined) return { kind: 'none', client: NO_CLIENT }
  const kind = client_id === undefined ? 'metadata-document' : 'pre-registered'
  const pem = await readSecret({ settings, name: 'private_key', key: 'auth' }, context)
  if (pem !== undefined) {
    const signing_key = await importSigningKey(pem, {
      algorithm: signing_algorithm,
      keyId: key_id,
      audience: assertion_audience,
    })
    return { kind, client: { client_id: id, signing_key, token_endpoint_auth_method: 'private_key_jwt' } }
  }
  const client_secret = await readSecret({ settings, name: 'client_secret', key: 'auth' }, context)
  const method = chooseAuthenticationMethod(supported, client_secret !== undefined)
  return {
    kind,
    client: {
      client_id: id,
      ...(client_secret !== undefined && { client_secret }),
      token_endpoint_auth_method: method,
    },
  }
}

export interface GrantRequest extends GrantParameters {
  readonly settings: GrantSettings
  /** The only authorization server that anything is sent to. */
  readonly endpoint: TokenEndpoint
  readonly client: ClientInformation
  /** What the token is to be bound to. */
  readonly dpopKey: DpopKey | undefined
}

/**
 * Runs the grant once: every assertion is made or read for this request, and none is sent a second time, nor is another
 * grant tried when it is refused.
 *
 * @throws `token_request_refused`, `network_failed`, `response_invalid`, `secret_unavailable`
 */
export async function runGrant(request: GrantRequest, context: FlowContext): Promise<TokenAnswer> {
  const { settings, endpoint, client } = request
  const answer = await send(request, context)
  try {
    const judged = await processTokenAnswer(
      answer,
      endpoint,
      { ...client, client_id: client.client_id || 'none' },
      undefined,
      request.dpopKey !== undefined,
    )
    // RFC 6749 §4.4.3: there should be none, and running the grant again is how it is renewed.
    const { refresh_token: _unused, ...token } = judged
    return token
  } catch (error) {
    throw error instanceof TokenRequestRefusedError ? refused(error, settings) : error
  }
}

async function send(request: GrantRequest, context: FlowContext): Promise<Answer> {
  const { settings, endpoint, client, scope, resource, dpopKey } = request
  const transport = tokenRequestContext(dpopKey, context)
  const asked = { scope, resource }
  if (settings.grant === 'client_credentials') {
    return requestClientCredentials(endpoint, client, asked, transport)
  }
  const assertion =
    settings.grant === 'id-jag'
      ? await identityAssertion({ idp: settings.idp!, audience: endpoint.issuer, ...asked }, context)
      : (await readSecret({ settings, name: 'assertion', key: 'auth' }, context))!
  return requestJwtBearer(endpoint, client, { assertion, ...asked }, transport)
}

/** The person that other refusals send to the browser does not exist here. */
function refused(error: TokenRequestRefusedError, { grant }: GrantSettings): TokenRequestRefusedError {
  const isShared = error.remedy === RESOURCE_REMEDY || error.error === 'invalid_scope'
  const isOfClient = /^(invalid_client|unauthorized_client|unsupported_grant_type)$/.test(error.error)
  const ofClient = `Check the client under \`auth\`, and that the authorization server lets it use the grant ${grant}.`
  const remedy = isShared ? error.remedy : isOfClient ? ofClient : REMEDIES[grant]
  return new TokenRequestRefusedError({
    message: error.summary,
    remedy,
    issuer: error.issuer,
    error: error.error,
    status: error.status,
    cause: error,
  })
}

const REMEDIES: Readonly<Record<GrantType, string>> = {
  client_credentials: 'Check what the authorization server allows this client: `scope`, `resource`.',
  'jwt-bearer':
    'The assertion was refused: look at its `iss`, `sub`, `aud` and `exp`, and at what the authorization server trusts. It is read again at the next request.',
  'id-jag':
    'The ID-JAG of the identity provider was refused: the authorization server has to trust that identity provider, and know this client.',
}
