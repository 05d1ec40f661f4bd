/** What every entry exports. A name that is not here is not public. */
export { basicAuth, type CustomAuth, headers } from './config/custom-auth.ts'
export type {
  AuthConfig,
  HttpServerConfig,
  IdentityProviderConfig,
  McpServersConfig,
  OAuthConfig,
  OAuthProviderConfig,
  ServerConfig,
  StdioServerConfig,
} from './config/input.ts'
export type { LoginStatus } from './credentials/login-status.ts'
export { createMemoryStore } from './credentials/memory-store.ts'
export type { Interactive } from './credentials/runtime.ts'
export type { GrantType, ProviderMetadata, RequestSigner, SigningAlgorithm } from './definitions.ts'
export * from './errors/index.ts'
export type * from './events.ts'
export type {
  BeginLoginOptions,
  LoginOptions,
  LogoutOutcome,
  PendingLogin,
  ServerInput,
} from './latchkey.ts'
export type { AllSessions } from './mcp/client.ts'
export type { RunOptions, Session } from './mcp/session.ts'
export type { SessionOptions } from './mcp/session-options.ts'
export type { LatchkeyOptions, StoreName } from './options.ts'
export type {
  CredentialKey,
  CredentialStore,
  Fetch,
  JsonObject,
  JsonValue,
  Lease,
  Reservation,
  StoredRecord,
} from './ports.ts'
