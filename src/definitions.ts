/** What a validated configuration says, in the form the other rooms use. Wire data keeps its wire spelling. */
import type { LatchkeyError } from './errors/index.ts'
import type { Warning } from './events.ts'

/** Settings of the OAuth method, all optional. */
export interface OAuthSettings {
  client_id?: string
  client_secret?: string
  /** Space-separated. */
  scope?: string
  /** Default 8080. Explicit: never another one. */
  callback_port?: number
  /** A whole loopback redirect URI instead of `http://localhost:<callback_port>/callback`. */
  redirect_uri?: string
  /** A CIMD URL (used from 2025-11-25 on where the authorization server supports it). */
  client_metadata_url?: string
  /** RFC 8707 `resource`: a URI sent instead of the discovered one, or `off` (Entra ID refuses it). */
  resource?: string
  account?: string
  /** `false`: never ask for `offline_access`. */
  offline_access?: boolean
  /**
   * `accept`: metadata that says nothing of PKCE is taken as if it listed S256 (Entra ID, Cognito). A list without S256 is
   * refused all the same.
   */
  missing_pkce_metadata?: 'accept'
  /** `true`: tokens bound to a key that latchkey proves to have with every request (RFC 9449). */
  dpop?: boolean
  /** Hosts where the authorization endpoint may live although the issuer is elsewhere. */
  authorization_hosts?: string[]
  oauth_provider?: OAuthProvider
}

/** Authorization server metadata that the user vouches for: no discovery is done. */
export interface OAuthProvider {
  id?: string
  display_name?: string
  metadata: ProviderMetadata
}

/** RFC 8414 members; the first three are required. */
export interface ProviderMetadata {
  issuer: string
  authorization_endpoint: string
  token_endpoint: string
  registration_endpoint?: string
  revocation_endpoint?: string
  code_challenge_methods_supported?: string[]
  token_endpoint_auth_methods_supported?: string[]
  scopes_supported?: string[]
  authorization_response_iss_parameter_supported?: boolean
  [member: string]: unknown
}

/** Signs a request in its own way: sets a header, adds a signature. Gets a fresh `Request`, returns the one to send. */
export type RequestSigner = (request: Request) => Request | Promise<Request>

export type AuthMethod =
  | { readonly method: 'oauth'; readonly settings: OAuthSettings }
  | { readonly method: 'bearer'; readonly token: string }
  | { readonly method: 'custom'; readonly sign: RequestSigner; readonly label: string }
  /** `headers` carries an `Authorization`: a static credential. */
  | { readonly method: 'headers' }
  | { readonly method: 'none' }

export interface HttpServerDefinition {
  readonly kind: 'http'
  /** The key in `mcpServers`, or the URL. */
  readonly name: string
  /** Canonical: `URL.href` without fragment. */
  readonly url: string
  readonly transport: 'auto' | 'streamable-http' | 'sse'
  readonly headers: Readonly<Record<string, string>>
  readonly auth: AuthMethod
  readonly disabled: boolean
  /** Milliseconds for one MCP request; the SDK's default where absent. */
  readonly timeout?: number
  /** Keys we do not know, as they were written: never expanded, never acted on. They may hold secrets. */
  readonly unknownKeys?: Readonly<Record<string, unknown>>
}

export interface StdioServerDefinition {
  readonly kind: 'stdio'
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly envFile?: string
  readonly cwd?: string
  readonly disabled: boolean
  /** Milliseconds for one MCP request; the SDK's default where absent. */
  readonly timeout?: number
  readonly unknownKeys?: Readonly<Record<string, unknown>>
}

export type ServerDefinition = HttpServerDefinition | StdioServerDefinition

/** Stands where a server was meant whose entry cannot be used, so that the others go on without it. */
export interface InvalidServer {
  readonly kind: 'invalid'
  readonly name: string
  /** `config_invalid` or `config_untrusted`. */
  readonly error: LatchkeyError
  /** Whether it says `disabled: true`: then the error need not bother anyone. */
  readonly disabled: boolean
}

/** A whole configuration: every server in the order it was written, and what a person should hear once. */
export interface LoadedConfig {
  readonly definitions: readonly (ServerDefinition | InvalidServer)[]
  readonly warnings: readonly Warning[]
}
