/** What a validated configuration says, in the form the other rooms use. Wire data keeps its wire spelling. */
import type { LatchkeyError } from './errors/index.ts'
import type { Warning } from './events.ts'

/** How a program gets tokens without a person: RFC 6749 §4.4, RFC 7523 §2.1, and ID-JAG, which is both after RFC 8693. */
export type GrantType = (typeof GRANTS)[number]
export const GRANTS = ['client_credentials', 'jwt-bearer', 'id-jag'] as const

/** A secret as it is, or where it is read anew each time it is needed. At most one of the four is set. */
export type SecretSettings<Name extends string> = {
  [Key in Name | `${Name}_file` | `${Name}_env`]?: string
} & { [Key in `${Name}_command`]?: string[] }

/** RFC 7518 §3.1 and RFC 9864: what a client assertion may be signed with. */
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number]
export const SIGNING_ALGORITHMS = [
  ...(['ES256', 'ES384', 'ES512'] as const),
  ...(['RS256', 'RS384', 'RS512'] as const),
  ...(['PS256', 'PS384', 'PS512', 'Ed25519'] as const),
] as const

/** The identity provider of an organisation, where an ID token becomes an ID-JAG. */
export interface IdentityProvider extends SecretSettings<'client_secret'>, SecretSettings<'id_token'> {
  /** Its metadata is discovered; or `token_endpoint` is given. */
  issuer?: string
  token_endpoint?: string
  client_id: string
}

/** Settings of the OAuth method, all optional. */
export interface OAuthSettings
  extends SecretSettings<'client_secret'>,
    SecretSettings<'private_key'>,
    SecretSettings<'assertion'> {
  /** Absent: a person signs in. */
  grant?: GrantType
  /** The only authorization server that a configured client's credentials are sent to. Default: the one seen first. */
  issuer?: string
  /** Of `private_key`; default by its kind: ES256, ES384, ES512, RS256 or Ed25519. */
  signing_algorithm?: SigningAlgorithm
  /** `kid` of client assertions. */
  key_id?: string
  /** `aud` of client assertions; default the issuer. */
  assertion_audience?: string
  /** Of the grant `id-jag`. */
  idp?: IdentityProvider
  client_id?: string
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
  /** `accept`: what the server names may be in a private network although the server is not. */
  private_addresses?: 'accept'
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
