import type { GrantType, ProviderMetadata, RequestSigner, SigningAlgorithm } from '../definitions.ts'
import type { CustomAuth } from './custom-auth.ts'

/**
 * What a person may write, as types for editors. The check at run time is stricter than they can be and says more:
 * `undefined` is allowed here so that `auth: process.env.API_KEY` compiles; when the variable is not set, it is a
 * `config_invalid` that says so.
 */
export interface McpServersConfig {
  mcpServers: Record<string, ServerConfig>
}

/** One server: with `url` it is spoken to over HTTP, with `command` it is started. */
export type ServerConfig = HttpServerConfig | StdioServerConfig

export interface HttpServerConfig {
  /** https or http, without user info. */
  url: string
  /** @default 'http': Streamable HTTP, SSE where the server only speaks that. */
  type?: 'http' | 'streamable-http' | 'sse' | undefined
  /** Sent with every request. An `Authorization` (any case) is the credential: no OAuth, and no `auth` beside it. */
  headers?: Record<string, string | undefined> | undefined
  /** How to authenticate. @default OAuth, discovered, with automatic registration */
  auth?: AuthConfig | undefined
  /** @default false */
  disabled?: boolean | undefined
  /** Milliseconds for one MCP request. @default the MCP SDK's */
  timeout?: number | undefined
}

export interface StdioServerConfig {
  command: string
  type?: 'stdio' | undefined
  args?: readonly string[] | undefined
  env?: Record<string, string | number | boolean> | undefined
  /** A file of `NAME=value` lines. */
  envFile?: string | undefined
  cwd?: string | undefined
  /** @default false */
  disabled?: boolean | undefined
  /** Milliseconds for one MCP request. @default the MCP SDK's */
  timeout?: number | undefined
}

/**
 * A string is a bearer token, `false` is no authentication, an object is OAuth settings, a function or an object with
 * `sign` signs each request.
 */
export type AuthConfig = string | false | OAuthConfig | RequestSigner | CustomAuth

/** A secret as it is, or where it is read anew each time: a file, a variable, what a program prints (no shell). */
type SecretConfig<Name extends string> = {
  [Key in Name | `${Name}_file` | `${Name}_env`]?: string | undefined
} & { [Key in `${Name}_command`]?: readonly string[] | undefined }

/** The identity provider of the grant `id-jag`; `issuer` or `token_endpoint`, and one form of `id_token`. */
export interface IdentityProviderConfig extends SecretConfig<'client_secret'>, SecretConfig<'id_token'> {
  issuer?: string | undefined
  token_endpoint?: string | undefined
  client_id: string
}

/** OAuth settings. Each may be written in snake_case (shared with mcp-use) or in camelCase, not both. */
export interface OAuthConfig
  extends CamelCaseOAuthConfig,
    SecretConfig<'client_secret'>,
    SecretConfig<'private_key'>,
    SecretConfig<'assertion'> {
  /** Tokens without a person: `docs/grants.md`. @default a person signs in */
  grant?: GrantType | undefined
  /** With `client_id` or `grant`: the only authorization server that gets the credentials. @default the one seen first */
  issuer?: string | undefined
  /** Of `private_key` (PKCS#8, PEM). @default by its kind */
  signing_algorithm?: SigningAlgorithm | undefined
  /** `kid` of client assertions (RFC 7523). */
  key_id?: string | undefined
  /** `aud` of client assertions. @default the issuer */
  assertion_audience?: string | undefined
  /** Of `grant: 'id-jag'`. */
  idp?: IdentityProviderConfig | undefined
  /** A client registered beforehand. @default registered automatically (RFC 7591) */
  client_id?: string | undefined
  /** Space-separated, or a list. @default what the server asks for */
  scope?: string | readonly string[] | undefined
  /** The port of `http://localhost:<port>/callback`. Explicit: never another one. @default 8080 */
  callback_port?: number | undefined
  /** A whole loopback redirect URI: `http://127.0.0.1:3118/callback`. */
  redirect_uri?: string | undefined
  /** URL of a Client ID Metadata Document. */
  client_metadata_url?: string | undefined
  /** RFC 8707 `resource`: a URI, or `off`. @default discovered */
  resource?: string | undefined
  /** Keeps several logins for one server apart. */
  account?: string | undefined
  /** `false`: never ask for `offline_access`. */
  offline_access?: boolean | undefined
  /** `accept`: metadata that says nothing of PKCE is taken as if it listed S256 (Entra ID, Cognito). @default refused */
  missing_pkce_metadata?: 'accept' | undefined
  /** `accept`: the authorization server may be in a private network although the server is not. @default refused */
  private_addresses?: 'accept' | undefined
  /** `true`: tokens bound to a key, proven with every request (DPoP, RFC 9449). @default false */
  dpop?: boolean | undefined
  /** Hosts where the authorization endpoint may live although the issuer is elsewhere. */
  authorization_hosts?: readonly string[] | undefined
  /** Authorization server metadata you vouch for: nothing is discovered. */
  oauth_provider?: OAuthProviderConfig | undefined
}

export interface OAuthProviderConfig {
  id?: string | undefined
  display_name?: string | undefined
  /** The same as `display_name`. */
  displayName?: string | undefined
  /** RFC 8414, spelled as on the wire. */
  metadata: ProviderMetadata
}

interface CamelCaseOAuthConfig {
  /** The same as `client_id`. */
  clientId?: string | undefined
  /** The same as `client_secret`. */
  clientSecret?: string | undefined
  /** The same as `scope`. */
  scopes?: string | readonly string[] | undefined
  /** The same as `callback_port`. */
  callbackPort?: number | undefined
  /** The same as `redirect_uri`. */
  redirectUri?: string | undefined
  /** The same as `client_metadata_url`. */
  clientMetadataUrl?: string | undefined
  /** The same as `offline_access`. */
  offlineAccess?: boolean | undefined
  /** The same as `missing_pkce_metadata`. */
  missingPkceMetadata?: 'accept' | undefined
  /** The same as `private_addresses`. */
  privateAddresses?: 'accept' | undefined
  /** The same as `authorization_hosts`. */
  authorizationHosts?: readonly string[] | undefined
  /** The same as `oauth_provider`. */
  oauthProvider?: OAuthProviderConfig | undefined
}
