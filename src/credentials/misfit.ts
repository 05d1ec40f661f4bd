import type { OAuthSettings } from '../definitions.ts'
import type { TokenSet } from '../flow/token-set.ts'
import type { Identity } from './identity.ts'

/** What of a login has to fit. */
type Fitted = Pick<
  TokenSet,
  'grant' | 'client_id' | 'client_kind' | 'issuer' | 'resource' | 'token_endpoint' | 'token_type'
>

/**
 * Why a stored login must not be used with this configuration, or `undefined` when it fits. Credentials belong to an
 * issuer and a resource (SEP-2352), and a configured secret goes nowhere but to the configured token endpoint.
 */
export function misfit(
  { grant, client_id, client_kind, issuer, resource, token_endpoint, token_type }: Fitted,
  { configuredClientId }: Identity,
  { grant: configuredGrant, issuer: configuredIssuer, oauth_provider, resource: wanted, dpop }: OAuthSettings,
): string | undefined {
  if (grant !== configuredGrant) return 'it was got in another way than the `grant` configured'
  const isConfigured = client_kind === 'pre-registered'
  if (isConfigured ? client_id !== configuredClientId : configuredClientId !== null) {
    return 'it is of another client than the one configured'
  }
  const expectedIssuer = oauth_provider?.metadata.issuer ?? configuredIssuer
  if (expectedIssuer !== undefined && expectedIssuer !== issuer) {
    return 'it is from another issuer than the one configured'
  }
  if (oauth_provider && oauth_provider.metadata.token_endpoint !== token_endpoint) {
    return 'it is from another token endpoint than the one configured'
  }
  if (wanted !== undefined && resource !== (wanted === 'off' ? undefined : wanted)) {
    return 'it is for another `resource`'
  }
  if (dpop && token_type !== 'dpop') return 'it is not bound to a key, as `dpop` wants it'
  return undefined
}
