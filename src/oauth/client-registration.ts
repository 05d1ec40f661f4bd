import * as oauth from 'oauth4webapi'
import { NetworkFailedError, RegistrationRefusedError, ResponseInvalidError } from '../errors/index.ts'
import { cleanServerText, quoteServerText } from '../errors/server-text.ts'
import { type Answer, readAnswer, secondsMember, stringMember } from './answer.ts'
import {
  type ClientInformation,
  registeredAuthenticationMethod,
  registrationAuthenticationMethod,
} from './client-authentication.ts'
import { type RequestContext, requestOptions } from './request-options.ts'
import type { ServerMetadata } from './server-metadata.ts'
import { isTokenText } from './token-request.ts'

/** What is asked for (RFC 7591 §2). */
export interface RegistrationRequest {
  readonly clientName: string
  readonly redirectUri: string
  readonly scope: string | undefined
  /** The client will always ask for tokens bound to a key (RFC 9449 §5.2). */
  readonly dpop?: boolean
}

/** What the server answered (RFC 7591 §3.2.1). */
export interface RegisteredClient extends Omit<ClientInformation, 'signing_key'> {
  /** Seconds since 1970; absent when the secret does not expire. */
  readonly client_secret_expires_at?: number
  readonly client_id_issued_at?: number
  readonly registration_client_uri?: string
  readonly registration_access_token?: string
}

/** Registers a client: a native public one (RFC 7591 §3.1, RFC 8252), or that of a web application. */
export async function requestRegistration(
  metadata: ServerMetadata,
  { clientName, redirectUri, scope, dpop }: RegistrationRequest,
  context: RequestContext,
): Promise<Answer> {
  const response = await oauth.dynamicClientRegistrationRequest(
    metadata,
    {
      client_name: clientName,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: applicationType(redirectUri),
      token_endpoint_auth_method: registrationAuthenticationMethod(
        metadata.token_endpoint_auth_methods_supported,
      ),
      ...(scope !== undefined && { scope }),
      ...(dpop && { dpop_bound_access_tokens: true }),
    },
    requestOptions(context),
  )
  return readAnswer(response, metadata.registration_endpoint!)
}

/** OpenID Connect Registration §2: what answers on the person's own machine is native, what answers elsewhere is not. */
function applicationType(redirectUri: string): 'native' | 'web' {
  return new URL(redirectUri).protocol === 'https:' ? 'web' : 'native'
}

/**
 * Judges a registration answer: 200 counts as 201, numbers may be strings, a secret may come unasked.
 *
 * @throws `registration_refused`; `network_failed` for 5xx and 429; `response_invalid` for what no request could carry
 */
export function processRegistration(
  answer: Answer,
  metadata: ServerMetadata,
  { redirectUri }: RegistrationRequest,
): RegisteredClient {
  const { members, ok } = answer
  const clientId = members && stringMember(members, 'client_id')
  if (!ok || !members || !clientId) throw refusal(answer, metadata, redirectUri)
  const secret = stringMember(members, 'client_secret')
  // VSCHAR as well (RFC 6749 A.1, A.2).
  if (![clientId, secret ?? clientId].every(isTokenText)) throw unsendable(answer)
  const secretExpires = secondsMember(members, 'client_secret_expires_at')
  const issuedAt = secondsMember(members, 'client_id_issued_at')
  const managementUri = stringMember(members, 'registration_client_uri')
  const managementToken = stringMember(members, 'registration_access_token')
  const named = stringMember(members, 'token_endpoint_auth_method')
  return {
    client_id: clientId,
    ...(secret !== undefined && { client_secret: secret }),
    token_endpoint_auth_method: registeredAuthenticationMethod(named, secret !== undefined, metadata),
    // 0 means "never" (RFC 7591 §3.2.1).
    ...(secret !== undefined && secretExpires && { client_secret_expires_at: secretExpires }),
    ...(issuedAt && { client_id_issued_at: issuedAt }),
    ...(managementUri &&
      managementToken && {
        registration_client_uri: managementUri,
        registration_access_token: managementToken,
      }),
  }
}

function unsendable({ url, status, contentType }: Answer): ResponseInvalidError {
  return new ResponseInvalidError({
    message: `The registration endpoint ${url} answered with a client_id or client_secret that is no visible ASCII text.`,
    remedy:
      'The operator of the authorization server has to look into it; until then register a client there by hand and set `auth.client_id`.',
    url,
    status,
    contentType,
  })
}

function refusal({ members, status, url }: Answer, metadata: ServerMetadata, redirectUri: string): Error {
  if (status >= 500 || status === 429) {
    return new NetworkFailedError({
      message: `The registration endpoint ${url} answered HTTP ${status}.`,
      remedy: 'Try again later; nothing stored was changed.',
      url,
      status,
    })
  }
  const named = members && stringMember(members, 'error')
  const error = named && cleanServerText(named, 60)
  const description = members && stringMember(members, 'error_description')
  const said = [error, description]
    .filter((text) => text !== undefined)
    .map((text) => quoteServerText(text))
    .join(': ')
  const host = new URL(metadata.issuer).host
  return new RegistrationRefusedError({
    message: `${host} refused to register a client (HTTP ${status}${said ? `, ${said}` : ''}).`,
    remedy:
      error === 'invalid_redirect_uri'
        ? `It does not accept the redirect URI ${redirectUri}\nSet \`redirect_uri\` or \`callback_port\` to one it accepts, or register a client at ${host} by hand and set \`client_id\`.`
        : `Some authorization servers register only clients they know. Register one at ${host} by hand, with exactly this redirect URI: ${redirectUri}\nand set \`auth.client_id\` (and \`auth.client_secret\` if it gives you one).`,
    issuer: metadata.issuer,
    status,
    error,
    redirectUri,
  })
}
