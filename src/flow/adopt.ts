import type { OAuthSettings } from '../definitions.ts'
import { IssuerMismatchError, SignInCancelledError, UnsupportedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import {
  type ClientInformation,
  chooseAuthenticationMethod,
  registeredAuthenticationMethod,
} from '../oauth/client-authentication.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import type { FlowContext } from './context.ts'
import type { Discovery } from './discover.ts'
import { discoverPinned } from './discover-pinned.ts'
import { withinPreparationLimit } from './preparation-limit.ts'
import { probe } from './probe.ts'
import { refresh } from './refresh.ts'
import { type ClientRegistration, newTokenSet, type TokenSet } from './token-set.ts'

/** A login that another program keeps: it says neither where it came from nor what renews it. */
export interface StrangeLogin {
  readonly access_token: string
  readonly refresh_token?: string
  readonly expires_at?: number
  readonly scope?: string
  /** Issuers that it names, if it does. */
  readonly issuers: readonly string[]
  readonly client?: StrangeClient
}

export interface StrangeClient {
  readonly client_id: string
  readonly client_secret?: string
  readonly client_secret_expires_at?: number
  readonly client_id_issued_at?: number
  readonly token_endpoint_auth_method?: string
  readonly redirect_uris: readonly string[]
}

export interface AdoptRequest {
  readonly serverUrl: string
  readonly headers: Readonly<Record<string, string>>
  readonly settings: OAuthSettings
  readonly strange: StrangeLogin
  /** The issuer that a configured client belongs to, if that is known. */
  readonly pinned: string | undefined
}

/** The authorization server that a refresh token would be sent to. */
export interface AdoptionQuestion {
  readonly issuer: string
  readonly token_endpoint: string
}

/** What a login of another program becomes, before it is proven. */
export interface Adoption {
  readonly tokens: TokenSet
  readonly registration: ClientRegistration | undefined
}

/**
 * Finds the authorization server of the login and makes it one of ours. Nothing of it is sent anywhere yet, and nothing
 * will be unless the login itself names the issuer, the configuration does, or `confirm` says yes: the MCP server names
 * the authorization server, and must not thereby get the refresh token of another.
 *
 * @throws `issuer_mismatch`, `sign_in_cancelled`, `unsupported`, and the codes of discovery
 */
export async function planAdoption(
  request: AdoptRequest,
  confirm: (question: AdoptionQuestion) => Promise<boolean>,
  context: FlowContext,
): Promise<Adoption> {
  const { serverUrl, headers, settings, strange, pinned } = request
  if (settings.grant || settings.dpop) throw notOfThisKind(context.server, settings)
  const discovery = await withinPreparationLimit(serverUrl, context, async (limited) => {
    const challenge = settings.oauth_provider ? undefined : await probe(serverUrl, headers, limited)
    const asked = { serverUrl, settings, challenge, pinned, knownIssuers: strange.issuers }
    return discoverPinned(asked, limited)
  })
  const { metadata, source } = discovery
  if (source === 'default endpoints') throw onlyGuessed(context)
  const isNamed = assertIssuer(metadata.issuer, strange, context) || settings.issuer !== undefined
  const client = clientFor(request, metadata, context)
  if (!isNamed && source !== 'configuration') {
    const { issuer, token_endpoint } = metadata
    if (!(await confirm({ issuer, token_endpoint }))) throw notConfirmed(context.server)
  }
  return {
    tokens: asTokens(request, discovery, client, context),
    registration: registrationOf(request, metadata, client, context),
  }
}

/** Proves a login by renewing it; one that cannot be renewed is taken as it is, while it has time left. */
export async function proveAdoption(
  { tokens }: Adoption,
  clientSecret: string | undefined,
  context: FlowContext,
): Promise<TokenSet> {
  const { refresh_token, client_kind } = tokens
  if (refresh_token !== undefined) {
    const secret = client_kind === 'dynamic' ? tokens.client_secret : clientSecret
    return refresh({ ...tokens, refresh_token }, { clientSecret: secret, patient: true }, context)
  }
  if (tokens.expires_at === undefined || tokens.expires_at > context.clock.now() / 1000) return tokens
  throw new UnsupportedError({
    message: `The login for ${context.server} has expired and holds no refresh token.`,
    remedy: `Run: ${context.loginCommand}`,
  })
}

/** True when the login names this issuer; one that names another is refused, whoever says yes. */
function assertIssuer(
  issuer: string,
  { issuers }: StrangeLogin,
  { server, loginCommand }: FlowContext,
): boolean {
  const other = issuers.find((named) => withoutSlash(named) !== withoutSlash(issuer))
  if (other === undefined) return issuers.length > 0
  throw new IssuerMismatchError({
    message: `The login for ${server} is from ${quoteServerText(other)}; the server now names ${quoteServerText(issuer)}. Nothing was sent to either.`,
    remedy: `If the server has moved, sign in there anew: ${loginCommand}`,
    expected: other,
    actual: issuer,
  })
}

/** Programs note an issuer as a parsed URL, which ends in a slash where the issuer does not. */
function withoutSlash(issuer: string): string {
  return issuer.replace(/\/$/, '')
}

interface AdoptedClient {
  readonly kind: 'pre-registered' | 'dynamic'
  readonly client: ClientInformation
}

function clientFor(
  { settings, strange }: AdoptRequest,
  metadata: ServerMetadata,
  { clock, server, loginCommand }: FlowContext,
): AdoptedClient {
  const { client_id, client_secret } = settings
  const { client } = strange
  if (client_id !== undefined) {
    if (client && client.client_id !== client_id) throw ofAnotherClient(server, loginCommand)
    const hasSecret = client_secret !== undefined
    const method = chooseAuthenticationMethod(metadata.token_endpoint_auth_methods_supported, hasSecret)
    const configured = { client_id, ...(hasSecret && { client_secret }), token_endpoint_auth_method: method }
    return { kind: 'pre-registered', client: configured }
  }
  const ends = client?.client_secret_expires_at
  if (!client || (ends !== undefined && ends <= clock.now() / 1000)) {
    throw new UnsupportedError({
      message: `The client that the login for ${server} was issued to is ${client ? 'no longer valid' : 'not known'}.`,
      remedy: `Set \`auth.client_id\` (or --client-id) if you registered one by hand. Else sign in: ${loginCommand}`,
    })
  }
  const method = registeredAuthenticationMethod(
    client.token_endpoint_auth_method,
    client.client_secret !== undefined,
    metadata,
  )
  return {
    kind: 'dynamic',
    client: { ...secretOf(client), client_id: client.client_id, token_endpoint_auth_method: method },
  }
}

function secretOf({ client_secret }: StrangeClient): Pick<ClientInformation, 'client_secret'> {
  return client_secret === undefined ? {} : { client_secret }
}

function asTokens(
  { strange, settings }: AdoptRequest,
  discovery: Discovery,
  client: AdoptedClient,
  context: FlowContext,
): TokenSet {
  const { access_token, refresh_token, expires_at, scope } = strange
  const token = {
    access_token,
    token_type: 'bearer' as const,
    ...(refresh_token !== undefined && { refresh_token }),
    ...(scope !== undefined && { scope }),
  }
  const redirectUri = settings.redirect_uri ?? strange.client?.redirect_uris[0]
  return {
    ...newTokenSet({ discovery, client, requested: scope, token }, context),
    ...(redirectUri !== undefined && { redirect_uri: redirectUri }),
    ...(expires_at !== undefined && { expires_at }),
  }
}

/** A registration is worth keeping where the next sign-in can wait at the address it is for. */
function registrationOf(
  { settings, strange }: AdoptRequest,
  { issuer, token_endpoint }: ServerMetadata,
  { kind, client }: AdoptedClient,
  { clock }: FlowContext,
): ClientRegistration | undefined {
  const fits = (uri: string) =>
    settings.redirect_uri === undefined
      ? /^http:\/\/localhost:\d+\/callback$/.test(uri)
      : uri === settings.redirect_uri
  const redirectUri = strange.client?.redirect_uris.find(fits)
  if (kind !== 'dynamic' || !strange.client || redirectUri === undefined) return undefined
  const { client_secret_expires_at, client_id_issued_at } = strange.client
  return {
    ...client,
    issuer,
    redirect_uri: redirectUri,
    token_endpoint,
    ...(client_secret_expires_at !== undefined && { client_secret_expires_at }),
    ...(client_id_issued_at !== undefined && { client_id_issued_at }),
    ...(strange.scope !== undefined && { scope: strange.scope }),
    created_at: Math.floor(clock.now() / 1000),
  }
}

function notOfThisKind(server: string, { grant }: OAuthSettings): UnsupportedError {
  return new UnsupportedError({
    message: `${server} is configured with \`${grant ? 'grant' : 'dpop'}\`, and no login of another program is of that kind.`,
    remedy: `Leave it out of the import.`,
  })
}

function onlyGuessed({ server, loginCommand }: FlowContext): UnsupportedError {
  return new UnsupportedError({
    message: `${server} publishes no metadata, so where its refresh token belongs could only be guessed. It was not sent.`,
    remedy: `Run: ${loginCommand}`,
  })
}

function ofAnotherClient(server: string, loginCommand: string): UnsupportedError {
  return new UnsupportedError({
    message: `The login for ${server} was issued to another client than the one configured.`,
    remedy: `Remove \`auth.client_id\` to take it over, or sign in with it: ${loginCommand}`,
  })
}

function notConfirmed(server: string): SignInCancelledError {
  return new SignInCancelledError({
    message: `The login for ${server} was left where it is; nothing of it was sent.`,
    remedy: 'Ask the operator of the server which authorization server it uses.',
    server,
  })
}
