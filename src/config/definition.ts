/** What a validated configuration says, in the form the other rooms use. Wire data keeps its wire spelling. */

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
  readonly timeout?: number
}

export type ServerDefinition = HttpServerDefinition | StdioServerDefinition
