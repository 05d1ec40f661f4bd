import type { CredentialKey } from '../ports.ts'

/** Everything that tells one login from another before any request is made. */
export interface Identity {
  /** Canonical configured URL. */
  readonly serverUrl: string
  /** `null`: the unnamed account. */
  readonly account: string | null
  /** The pre-registered client; `null` where clients are registered dynamically. */
  readonly configuredClientId: string | null
}

/**
 * The `server_domain` of a URL: its host in lower-case ASCII; a port that is not the scheme's default as `_port`; an
 * IPv6 literal without brackets, `-` for `:`.
 */
export function serverDomain(serverUrl: string): string {
  const { hostname, port } = new URL(serverUrl)
  const host = hostname.replace(/^\[|\]$/g, '').replaceAll(':', '-')
  return port === '' ? host : `${host}_${port}`
}

/** Where the login of this identity is stored. */
export function tokensKey({ serverUrl, account, configuredClientId }: Identity): CredentialKey {
  return {
    kind: 'tokens',
    serverDomain: serverDomain(serverUrl),
    account,
    identity: { server_url: serverUrl, configured_client_id: configuredClientId },
  }
}

/** Where a dynamic registration is stored: accounts never share a client. */
export function registrationKey(
  { serverUrl, account }: Identity,
  issuer: string,
  redirectUri: string,
): CredentialKey {
  return {
    kind: 'registrations',
    serverDomain: serverDomain(serverUrl),
    account,
    identity: { issuer, redirect_uri: redirectUri },
  }
}

/** Where it is stored which authorization server the credentials of the configuration belong to: for every account. */
export function issuerKey({ serverUrl, configuredClientId }: Identity): CredentialKey {
  return {
    kind: 'issuers',
    serverDomain: serverDomain(serverUrl),
    account: null,
    identity: { server_url: serverUrl, configured_client_id: configuredClientId },
  }
}

/** Where a sign-in rests while its person is at the authorization server. */
export function pendingSignInKey({ serverUrl, account }: Identity, state: string): CredentialKey {
  return { kind: 'sign_ins', serverDomain: serverDomain(serverUrl), account, identity: { state } }
}

/** One string for one identity, for maps in memory. */
export function identityString({ serverUrl, account, configuredClientId }: Identity): string {
  return JSON.stringify([serverUrl, account, configuredClientId])
}
