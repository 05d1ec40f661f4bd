import { createAuthorizedFetch } from './authorized-fetch/authorized-fetch.ts'
import type { HttpServerConfig } from './config/input.ts'
import { definitionFromServer } from './config/mcp-servers.ts'
import { checkWebRedirectUri } from './config/redirect-uri.ts'
import { type LoginStatus, loginStatus } from './credentials/login-status.ts'
import { createMemoryStore } from './credentials/memory-store.ts'
import type { Runtime } from './credentials/runtime.ts'
import { type ServerLogin, serverLogin } from './credentials/server-login.ts'
import { SignInQueue } from './credentials/sign-in-queue.ts'
import type { SignOutOutcome } from './credentials/sign-out.ts'
import type { HttpServerDefinition, ServerDefinition } from './definitions.ts'
import { type ChallengeSummary, ConfigInvalidError, UnsupportedError } from './errors/index.ts'
import { shownUrl } from './errors/shown-url.ts'
import type { TokenSet } from './flow/token-set.ts'
import { createRuntime, type FullPlatform, type LatchkeyOptions } from './options.ts'
import type { Fetch } from './ports.ts'

/** One server, as a program names it: as in `mcpServers`, with a `name` for messages if it has one. */
export type ServerInput = HttpServerConfig & { readonly name?: string }

export interface LoginOptions extends LatchkeyOptions {
  /** Ask the person again even where the authorization server remembers them, and register a new client. */
  readonly force?: boolean
}

export interface BeginLoginOptions extends LoginOptions {
  /** Where the person comes back to: an https address of your application (http on loopback), byte for byte as registered. */
  readonly redirectUri: string
  /** Of the `login_required` or `insufficient_scope` that made the sign-in necessary. */
  readonly challenge?: ChallengeSummary
}

/** A sign-in that was begun: send the person to `authorizationUrl`. */
export interface PendingLogin {
  /** For the person's browser alone. */
  readonly authorizationUrl: string
  /** What the callback will carry: ties it to the person's session, if you want to check that early. */
  readonly state: string
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** What became of a login that was ended. */
export type LogoutOutcome = SignOutOutcome | 'not signed in'

/** The functions of latchkey on one platform. */
export interface Latchkey {
  /**
   * A `fetch` for any MCP SDK or HTTP client that carries the server's credential, renews it and never waits for a
   * person.
   *
   * @throws `config_invalid`; from the fetch: `login_required`, `credential_refused`, `network_failed`
   */
  authorizedFetch(server: ServerInput, options?: LatchkeyOptions): Fetch
  /**
   * Signs a person in to a server of the OAuth method, whether or not there is a login already.
   *
   * @throws `config_invalid`, `login_required` when nobody may be asked, and every code of a sign-in
   */
  login(server: ServerInput, options?: LoginOptions): Promise<LoginStatus>
  /**
   * Begins the sign-in of a person who is elsewhere: the user of a web application. What is needed to finish it rests in
   * the store, under `account`; any process on that store can finish it.
   *
   * @throws `config_invalid`, `unsupported` for a server that no person signs in to, `store_failed`, and every code of
   *   discovery and registration
   */
  beginLogin(server: ServerInput, options: BeginLoginOptions): Promise<PendingLogin>
  /**
   * Finishes it with what came back to `redirectUri`. Pass the account of the session that the request belongs to: a
   * response that was begun for another one is refused. Works once for a response.
   *
   * @param response the URL of the request, its query, or its parameters
   * @throws `authorization_response_invalid`, `issuer_mismatch`, `authorization_refused`, `sign_in_timed_out`, and the
   *   codes of the token request
   */
  completeLogin(
    server: ServerInput,
    response: string | URL | URLSearchParams,
    options?: LatchkeyOptions,
  ): Promise<LoginStatus>
  /** Revokes where the server can (RFC 7009), then deletes the stored login. */
  logout(server: ServerInput, options?: LatchkeyOptions): Promise<LogoutOutcome>
  /** What is stored for a server; asks no network. */
  status(server: ServerInput, options?: LatchkeyOptions): Promise<LoginStatus>
  readonly runtime: (options: LatchkeyOptions) => Runtime
}

export function createLatchkey(platform: FullPlatform): Latchkey {
  // For the whole process: one browser tab at a time, whoever asks, and one memory for all who keep logins in it.
  const shared = { signInQueue: new SignInQueue(platform.clock), memoryStore: createMemoryStore() }
  const runtime = (options: LatchkeyOptions) => createRuntime(platform, options, shared)
  const open = (server: ServerInput, { force: _force, ...options }: LoginOptions = {}) => {
    const { name, ...config } = server
    const { definition, warnings } = definitionFromServer(name, config)
    const made = runtime(options)
    for (const warning of warnings) made.emit(warning)
    return { definition, runtime: made }
  }

  return {
    runtime,
    authorizedFetch(server, options) {
      const opened = open(server, options)
      return createAuthorizedFetch(opened.definition, opened.runtime)
    },
    async login(server, options) {
      const opened = open(server, options)
      const login = oauthLogin(opened.definition, opened.runtime)
      await login.signIn({ explicit: true, force: options?.force ?? false })
      return loginStatus(login, platform.clock.now())
    },
    async beginLogin(server, { redirectUri, challenge, ...options }) {
      checkWebRedirectUri(redirectUri)
      const opened = open(server, options)
      const login = personalLogin(opened.definition, opened.runtime)
      const wish = { redirectUri, challenge, force: options.force ?? false }
      const { authorizationUrl, state, expires_at } = await login.web.begin(wish)
      return { authorizationUrl, state, expiresAt: expires_at }
    },
    async completeLogin(server, response, options) {
      const opened = open(server, options)
      const login = personalLogin(opened.definition, opened.runtime)
      await login.web.complete(responseParameters(response))
      return loginStatus(login, platform.clock.now())
    },
    async logout(server, options) {
      const opened = open(server, options)
      return (await oauthLogin(opened.definition, opened.runtime).signOut()) ?? 'not signed in'
    },
    async status(server, options) {
      const opened = open(server, options)
      return serverStatus(opened.definition, opened.runtime)
    },
  }
}

/** The status of any server of a configuration. */
export async function serverStatus(definition: ServerDefinition, runtime: Runtime): Promise<LoginStatus> {
  const login = serverLogin(definition, runtime)
  if (login) return loginStatus(login, runtime.clock.now())
  const [method, url] =
    definition.kind === 'http' ? [definition.auth.method, shownUrl(definition.url)] : (['stdio', ''] as const)
  return {
    server: definition.name,
    url,
    method,
    state: 'configured',
    account: null,
    location: 'the configuration',
    next: '',
  }
}

/** A token to send now, and when it ends (seconds since 1970) where that is known. */
export type CurrentToken = Pick<TokenSet, 'access_token' | 'expires_at'>

/**
 * The bearer token of any server, renewed if need be.
 *
 * @throws `login_required`, `config_invalid` where there is none, `unsupported` for a token that is bound to a key
 */
export async function currentToken(definition: ServerDefinition, runtime: Runtime): Promise<CurrentToken> {
  if (definition.kind === 'http' && definition.auth.method === 'bearer') {
    return { access_token: definition.auth.token }
  }
  const login = oauthLogin(definition, runtime)
  const held = await login.keeper.usable()
  const tokens = held === 'over' || !held ? await login.byGrant?.obtain(undefined) : held
  if (!tokens) throw login.required(undefined)
  if (tokens.token_type === 'dpop') throw bareToken(login.server.name)
  return tokens
}

/** @throws `config_invalid` for a server whose credential is in the configuration */
export function oauthLogin(definition: ServerDefinition, runtime: Runtime): ServerLogin {
  if (definition.kind === 'stdio') {
    throw new UnsupportedError({
      message: `${definition.name} is a program on this machine: there is nothing to sign in to.`,
      remedy: 'A program takes its credentials from `env` or `envFile`.',
    })
  }
  const login = serverLogin(definition, runtime)
  if (login) return login
  throw notOAuth(definition)
}

/** @throws `unsupported` for a login that no person makes */
function personalLogin(definition: ServerDefinition, runtime: Runtime): ServerLogin {
  const login = oauthLogin(definition, runtime)
  if (!login.byGrant) return login
  throw new UnsupportedError({
    message: `${definition.name} gets its tokens by the grant ${login.server.settings.grant}: no person signs in.`,
    remedy: 'Call login(), or just make the request.',
  })
}

/** The parameters of a callback, in whichever form a framework gives them. */
function responseParameters(response: string | URL | URLSearchParams): URLSearchParams {
  if (response instanceof URLSearchParams) return response
  if (response instanceof URL) return response.searchParams
  // A path (`/callback?code=…`), a query, or the whole URL.
  return new URLSearchParams(response.slice(response.indexOf('?') + 1).replace(/#.*$/s, ''))
}

/** Printed or passed on, it would look like a bearer token and be refused wherever it is sent. */
function bareToken(server: string): UnsupportedError {
  return new UnsupportedError({
    message: `The access token for ${server} is bound to a key (DPoP): by itself no server takes it.`,
    remedy:
      'Use `latchkey call`, or authorizedFetch() of the library, which prove the key with every request. For a token to hand on, sign in without `dpop`.',
  })
}

function notOAuth({ name, auth }: HttpServerDefinition): ConfigInvalidError {
  return new ConfigInvalidError({
    message: `${name} does not sign in with OAuth: its configuration says ${auth.method === 'none' ? 'auth: false' : `to use a ${auth.method} credential`}.`,
    remedy: 'Change or remove the credential in the configuration, or remove `auth` to sign in with OAuth.',
    key: 'auth',
  })
}
