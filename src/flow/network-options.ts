import type { OAuthSettings } from '../definitions.ts'
import type { NetworkOptions } from '../ports.ts'

const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint']

/** What the settings of a server say about addresses. The URLs in them were named by no server. */
export function networkOptions({ oauth_provider, idp, private_addresses }: OAuthSettings): NetworkOptions {
  const named = [...ENDPOINTS.map((name) => oauth_provider?.metadata[name]), idp?.issuer, idp?.token_endpoint]
  return {
    configured: named.filter((url) => typeof url === 'string'),
    privateAddresses: private_addresses === 'accept',
  }
}
