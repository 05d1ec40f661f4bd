import type { GrantType, OAuthSettings } from '../definitions.ts'
import { isUnnamed, shownUrl } from '../errors/shown-url.ts'
import type { ClientKind } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { loginCommand } from './login-command.ts'
import type { ServerLogin } from './server-login.ts'
import { isExpired } from './token-lifetime.ts'

/** What is known of a server's credential without asking any network. Times are seconds since 1970. */
export interface LoginStatus {
  readonly server: string
  readonly url: string
  readonly method: 'oauth' | 'bearer' | 'custom' | 'headers' | 'none' | 'stdio'
  readonly state: 'signed_in' | 'expired_refreshable' | 'expired' | 'signed_out' | 'configured'
  readonly account: string | null
  /** How tokens are got without a person. */
  readonly grant?: GrantType
  readonly issuer?: string
  /** The RFC 8707 `resource` the token is for. */
  readonly resource?: string
  readonly client_kind?: ClientKind
  readonly client_id?: string
  readonly redirect_uri?: string
  readonly scope?: string
  readonly expires_at?: number
  readonly refreshable?: boolean
  /** Settings that relax a check for this server, as they are configured. */
  readonly exceptions?: Readonly<Record<string, string>>
  /**
   * What is judged of a host that a server names: `pinned`, its addresses as well, which are then the ones connected to;
   * `by_name`, no more than its name, since a proxy or the caller's own `fetch` resolves it.
   */
  readonly address_check?: 'pinned' | 'by_name'
  /** `dpop`: the tokens are bound to a key that is stored with them (RFC 9449). Absent for bearer tokens. */
  readonly token_type?: 'dpop'
  /** Where the credential lives. */
  readonly location: string
  /** What to type next, or `''` when nothing has to be done. */
  readonly next: string
}

/** The status of an OAuth server: reads the store, nothing else. */
export async function loginStatus(login: ServerLogin, now: number): Promise<LoginStatus> {
  const { server, identity, keeper } = login
  const tokens = await keeper.read()
  const common = {
    server: server.name,
    url: shownUrl(server.url),
    method: 'oauth',
    ...(server.settings.grant && { grant: server.settings.grant }),
    account: identity.account,
    ...exceptionsOf(server.settings),
    address_check: login.judgesAddresses ? 'pinned' : 'by_name',
    location: keeper.location,
  } as const
  // A server without a name is in no configuration: what told its login apart has to be typed again.
  const clientId = isUnnamed(server) ? identity.configuredClientId : null
  const next = loginCommand(server.name, identity.account, clientId)
  if (!tokens) return { ...common, state: 'signed_out', next }
  const refreshable = login.byGrant !== undefined || (await keeper.isRenewable(tokens))
  const state = stateOf(tokens, refreshable, now / 1000)
  return {
    ...common,
    state,
    issuer: tokens.issuer,
    ...(tokens.resource !== undefined && { resource: tokens.resource }),
    client_kind: tokens.client_kind,
    ...(tokens.client_id !== '' && { client_id: tokens.client_id }),
    ...(tokens.redirect_uri !== undefined && { redirect_uri: tokens.redirect_uri }),
    ...(tokens.scope !== undefined && { scope: tokens.scope }),
    ...(tokens.expires_at !== undefined && { expires_at: tokens.expires_at }),
    refreshable,
    ...(tokens.token_type === 'dpop' && { token_type: 'dpop' }),
    next: state === 'expired' ? next : '',
  }
}

/** What the configuration lets this server do that others may not. */
function exceptionsOf(settings: OAuthSettings): Pick<LoginStatus, 'exceptions'> {
  const { resource, missing_pkce_metadata, private_addresses, authorization_hosts } = settings
  const exceptions = {
    ...(resource !== undefined && { resource }),
    ...(missing_pkce_metadata && { missing_pkce_metadata }),
    ...(private_addresses && { private_addresses }),
    ...(authorization_hosts && { authorization_hosts: authorization_hosts.join(' ') }),
  }
  return Object.keys(exceptions).length > 0 ? { exceptions } : {}
}

function stateOf(tokens: TokenSet, refreshable: boolean, now: number): LoginStatus['state'] {
  if (!isExpired(tokens, now)) return 'signed_in'
  return refreshable ? 'expired_refreshable' : 'expired'
}
