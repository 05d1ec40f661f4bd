import type { OAuthSettings } from '../definitions.ts'

const ENDPOINTS = ['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint']

/** The URLs in the settings of a server: no server named them, so they may be wherever the user says. */
export function configuredUrls({ oauth_provider, idp }: OAuthSettings): string[] {
  const named = [...ENDPOINTS.map((name) => oauth_provider?.metadata[name]), idp?.issuer, idp?.token_endpoint]
  return named.filter((url) => typeof url === 'string')
}
