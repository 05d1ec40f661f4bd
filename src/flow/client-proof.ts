import { AuthorizationRefusedError, ResponseInvalidError, TokenRequestRefusedError } from '../errors/index.ts'
import { type ClientInformation, otherAuthenticationMethod } from '../oauth/client-authentication.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import type { ObtainedClient } from './obtain-client.ts'

/** What a request brought, and the client with the method that the server took. */
export interface Proven<T> {
  readonly result: T
  readonly client: ObtainedClient
}

/**
 * Makes a token request as a client with a secret, and once more with another way to prove it where the server does not
 * know the client: servers advertise methods that they do not take. What worked goes into the stored login.
 */
export async function withClientProof<T>(
  client: ObtainedClient,
  metadata: ServerMetadata,
  request: (client: ClientInformation) => Promise<T>,
): Promise<Proven<T>> {
  try {
    return { result: await request(client.client), client }
  } catch (error) {
    const other = otherAuthenticationMethod(client.client, metadata.token_endpoint_auth_methods_supported)
    if (!other || !isAboutTheClient(error)) throw error
    const again = provenBy(client, other)
    return { result: await request(again.client).catch(preferring(error)), client: again }
  }
}

/** Of two refusals of the client the first counts, and so it does where it has used up the code. */
function preferring(first: unknown): (second: unknown) => never {
  return (second) => {
    const usedUp = second instanceof TokenRequestRefusedError && second.error === 'invalid_grant'
    throw usedUp || isAboutTheClient(second) ? first : second
  }
}

/** Whether the server says that it does not know this client, or not for this (RFC 6749 §4.1.2.1, §5.2). */
export function refusesClient(error: unknown): boolean {
  const isRefusal = error instanceof TokenRequestRefusedError || error instanceof AuthorizationRefusedError
  return isRefusal && (error.error === 'invalid_client' || error.error === 'unauthorized_client')
}

/**
 * Whether a code that was just issued is refused in a way that some servers have for a client they no longer know: as
 * `invalid_grant` (better-auth), or with a 401 that says nothing.
 */
export function mayNotKnowClient(error: unknown): boolean {
  return (
    isAboutTheClient(error) || (error instanceof TokenRequestRefusedError && error.error === 'invalid_grant')
  )
}

/** RFC 6749 §5.2: 401 is for clients that are not known, also where the body says nothing. */
function isAboutTheClient(error: unknown): boolean {
  if (error instanceof TokenRequestRefusedError) return error.error === 'invalid_client'
  return error instanceof ResponseInvalidError && error.status === 401
}

function provenBy(
  { client, registration, ...rest }: ObtainedClient,
  token_endpoint_auth_method: ClientInformation['token_endpoint_auth_method'],
): ObtainedClient {
  return {
    ...rest,
    client: { ...client, token_endpoint_auth_method },
    ...(registration && { registration: { ...registration, token_endpoint_auth_method } }),
  }
}
