import type { FlowContext } from '../flow/context.ts'
import { grantClient, usesGrant } from '../flow/grant.ts'
import { type Revocation, revoke } from '../flow/revoke.ts'
import type { Keeper } from './keeper.ts'
import type { OAuthServer } from './oauth-server.ts'

/** What became of a login at its server; `withheld` where the credentials of the configuration do not belong there. */
export type SignOutOutcome = Revocation | 'withheld'

/** Revokes where the server can, then deletes. `undefined` when there was no login. */
export async function signOut(
  { settings }: OAuthServer,
  keeper: Keeper,
  context: FlowContext,
): Promise<SignOutOutcome | undefined> {
  const ended = await keeper.end<SignOutOutcome>(async (tokens) => {
    if (!(await keeper.isOfPinnedIssuer(tokens))) return 'withheld'
    const proofOf = async () =>
      usesGrant(settings)
        ? (await grantClient(settings, [tokens.token_endpoint_auth_method], context)).client
        : { client_secret: tokens.client_secret ?? settings.client_secret }
    return revoke(tokens, proofOf, context)
  })
  if (!ended) return undefined
  const { tokens, outcome } = ended
  const { emit, server } = context
  if (outcome === 'failed' || outcome === 'withheld') {
    const why =
      outcome === 'failed'
        ? 'could not be revoked'
        : 'was not revoked, as the credentials under `auth` belong to another authorization server and were not sent'
    const message = `The login at ${new URL(tokens.issuer).host} ${why}; it was only deleted here. It ends there by itself, or in your account settings.`
    emit({ type: 'warning', server, code: 'not_revoked', message })
  }
  emit({ type: 'signed_out', server, revoked: outcome === 'revoked' })
  return outcome
}
