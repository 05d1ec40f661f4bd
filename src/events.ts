/**
 * What latchkey tells the program around it while it works. No event holds a secret, with one exception:
 * `authorization_url` in {@link AuthorizationStarted}, which is there to be shown to the person.
 */
import type { GrantType } from './definitions.ts'
import type { ErrorCode } from './errors/index.ts'

/** Which part of the work a request belongs to. */
export type Stage = 'mcp' | 'probe' | 'discovery' | 'registration' | 'authorization' | 'token' | 'revocation'

interface OfServer {
  /** The configured name, or the URL where there is no name. */
  server: string
}

/** One HTTP request and its answer. `url` is without query values and user info. */
export interface HttpExchange extends OfServer {
  type: 'http_exchange'
  stage: Stage
  method: string
  url: string
  /** Absent when no answer came. */
  status?: number
  content_type?: string
  /** Milliseconds until the headers of the answer, or until the failure. */
  duration: number
  /** 1 for the first try. */
  attempt: number
  failure?: string
}

export interface ChallengeReceived extends OfServer {
  type: 'challenge_received'
  status: number
  scheme?: string
  resource_metadata?: string
  scope?: string
  error?: string
}

/** A challenge named another authorization server or metadata than the configuration vouches for; it was not followed. */
export interface ChallengeIgnored extends OfServer {
  type: 'challenge_ignored'
  resource_metadata?: string
  reason: string
}

export interface ResourceMetadataFound extends OfServer {
  type: 'resource_metadata_found'
  url: string
  resource: string
  authorization_servers: readonly string[]
  scopes_supported?: readonly string[]
}

export interface ServerMetadataFound extends OfServer {
  type: 'server_metadata_found'
  issuer: string
  /** Where it came from: `resource metadata`, `configuration` (`oauth_provider`), `origin metadata`, `default endpoints` (2025-03-26). */
  source: string
  /** Absent where the server is for programs only. */
  authorization_endpoint?: string
  token_endpoint: string
  registration_endpoint?: string
}

export interface ClientSelected extends OfServer {
  type: 'client_selected'
  kind: ClientKind
  client_id: string
  issuer: string
  redirect_uri: string
}
/** Where the client identity came from; `none` for a workload, whose assertion says who it is. */
export type ClientKind = 'pre-registered' | 'metadata-document' | 'dynamic' | 'none'

export interface RedirectListening extends OfServer {
  type: 'redirect_listening'
  redirect_uri: string
  /** The port that was wanted but taken. */
  instead_of?: number
}

export interface SignInQueued extends OfServer {
  type: 'sign_in_queued'
  /** How many sign-ins come before this one. */
  ahead: number
  /**
   * Another process signs in: for the very same login, whose outcome is shared then, or for another one that has the
   * person or the callback port. Absent: the sign-ins are of this process.
   */
  elsewhere?: 'same_login' | 'other_login'
}

/** The browser is about to open. */
export interface AuthorizationStarted extends OfServer {
  type: 'authorization_started'
  /** Of the MCP server, whatever it is called. */
  server_host: string
  issuer: string
  authorization_host: string
  scope?: string
  resource?: string
  redirect_uri: string
  client_kind: ClientKind
  /** The person confirms the host first, on the page that `start_url` shows; `authorization_url` is that very URL. */
  needs_confirmation?: true
  /** Whole, to be shown on one line. */
  authorization_url: string
  /** The short loopback URL the browser is opened on. */
  start_url: string
  /** Milliseconds since 1970 when the sign-in is given up. */
  deadline: number
}

export interface BrowserOpened extends OfServer {
  type: 'browser_opened'
}
export interface BrowserFailed extends OfServer {
  type: 'browser_failed'
  reason: string
}

/** 30 s without a callback: for a pre-registered client the redirect URI may not be registered. */
export interface AuthorizationWaiting extends OfServer {
  type: 'authorization_waiting'
  redirect_uri: string
  client_kind: ClientKind
  /** Seconds since the browser was opened. */
  elapsed: number
}

export interface AuthorizationResponded extends OfServer {
  type: 'authorization_responded'
  error?: string
}

export interface TokenReceived extends OfServer {
  type: 'token_received'
  grant: 'authorization_code' | 'refresh_token' | GrantType
  scope?: string
  /** Seconds since 1970, as in the stored login. Absent when the server gave no lifetime. */
  expires_at?: number
  /** Whether it can be renewed without the person. */
  refreshable: boolean
}

export interface RefreshFailed extends OfServer {
  type: 'refresh_failed'
  code: ErrorCode
  /** Whether the login is over (`invalid_grant`), or the next try may work. */
  terminal: boolean
}

export interface CredentialsSaved extends OfServer {
  type: 'credentials_saved'
  location: string
}

/** Also when another process signed in and this one waited for it. */
export interface SignedIn extends OfServer {
  type: 'signed_in'
}

export interface SignedOut extends OfServer {
  type: 'signed_out'
  revoked: boolean
}

/**
 * How requests of a session are authorized: `anonymous` and `signed_in` where OAuth may be wanted, `static` with a
 * credential of the configuration, `none` where none is ever sent (`auth: false`, programs).
 */
export type Authorization = 'anonymous' | 'signed_in' | 'static' | 'none'

/**
 * The server takes requests differently authorized than before: after a sign-in in the middle of a session, a login
 * that ended, a scope that grew. What it lists may have changed: fetch lists anew.
 */
export interface AuthorizationChanged extends OfServer {
  type: 'authorization_changed'
  authorization: Extract<Authorization, 'anonymous' | 'signed_in'>
  /** Of the login. */
  scope?: string
}

export interface Connected extends OfServer {
  type: 'connected'
  protocol_version?: string
  transport: 'streamable-http' | 'sse' | 'stdio'
}

/** Something a person should know that does not stop the work. `code` is stable. */
export interface Warning extends Partial<OfServer> {
  type: 'warning'
  code:
    | 'store_permissions_narrowed'
    | 'store_file_set_aside'
    | 'unknown_config_key'
    | 'secret_in_version_control'
    | 'no_refresh_token'
    | 'issuer_moved'
    | 'record_does_not_fit'
    | 'not_revoked'
    | 'keychain_unavailable'
  message: string
}

export type LatchkeyEvent =
  | HttpExchange
  | ChallengeReceived
  | ChallengeIgnored
  | ResourceMetadataFound
  | ServerMetadataFound
  | ClientSelected
  | RedirectListening
  | SignInQueued
  | AuthorizationStarted
  | BrowserOpened
  | BrowserFailed
  | AuthorizationWaiting
  | AuthorizationResponded
  | TokenReceived
  | RefreshFailed
  | CredentialsSaved
  | SignedIn
  | SignedOut
  | AuthorizationChanged
  | Connected
  | Warning

export type EventListener = (event: LatchkeyEvent) => void
