import { isLatchkeyError } from '../errors/index.ts'
import type { ClientInformation } from '../oauth/client-authentication.ts'
import { processRevocation, requestRevocation } from '../oauth/revocation.ts'
import type { FlowContext } from './context.ts'
import { type ClientProof, clientOf, type TokenSet } from './token-set.ts'

export type Revocation = 'revoked' | 'unsupported' | 'failed'

/** Revokes a login at its server (RFC 7009), the refresh token first: most servers end the whole grant with it. */
export async function revoke(
  tokens: TokenSet,
  proofOf: () => Promise<ClientProof>,
  context: FlowContext,
): Promise<Revocation> {
  const { revocation_endpoint, issuer } = tokens
  if (revocation_endpoint === undefined || tokens.client_kind === 'none') return 'unsupported'
  const revokeOne = async (
    client: ClientInformation,
    token: string,
    hint: 'refresh_token' | 'access_token',
  ) => {
    const endpoint = { issuer, revocation_endpoint }
    return processRevocation(
      await requestRevocation(endpoint, client, token, hint, { fetch: context.fetch('revocation') }),
    )
  }
  try {
    const client = clientOf(tokens, await proofOf())
    const gone = await revokeOne(
      client,
      tokens.refresh_token ?? tokens.access_token,
      tokens.refresh_token ? 'refresh_token' : 'access_token',
    )
    // An access token that is a JWT cannot be revoked everywhere; the grant behind it is what counts.
    if (tokens.refresh_token) await revokeOne(client, tokens.access_token, 'access_token').catch(() => false)
    return gone ? 'revoked' : 'failed'
  } catch (error) {
    if (isLatchkeyError(error)) return 'failed'
    throw error
  }
}
