import { identityString } from '../credentials/identity.ts'
import { GRANTS, type GrantType, type HttpServerDefinition, type OAuthSettings } from '../definitions.ts'
import { isLatchkeyError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { CredentialKey, JsonValue } from '../ports.ts'
import type { CommandContext } from './context.ts'
import type { ServerList } from './server-list.ts'

/**
 * Every stored login as a server to work with: as configured where the configuration knows it (its client secret is
 * needed to revoke), else by its URL.
 */
export async function storedServers(context: CommandContext): Promise<HttpServerDefinition[]> {
  const configured = await oauthServers(context)
  const stored = await context.runtime().store.list({ kind: 'tokens' })
  return stored.flatMap(({ key, record }) => {
    const server = serverOfKey(key, record.grant)
    return server ? [asConfigured(server, configured) ?? server] : []
  })
}

/** The entry of the configuration for this login: its own, else one of the same client with another account. */
function asConfigured(
  server: HttpServerDefinition,
  configured: readonly HttpServerDefinition[],
): HttpServerDefinition | undefined {
  const exact = configured.find((other) => identityOf(other) === identityOf(server))
  const { account } = settingsOf(server)
  const near = exact ?? configured.find((other) => isSameBut(other, server))
  if (exact || !near) return exact
  const { account: _other, ...settings } = settingsOf(near)
  return {
    ...near,
    auth: { method: 'oauth', settings: { ...settings, ...(account !== undefined && { account }) } },
  }
}

function isSameBut(configured: HttpServerDefinition, server: HttpServerDefinition): boolean {
  const [own, others] = [settingsOf(configured), settingsOf(server)]
  return configured.url === server.url && own.client_id === others.client_id && own.grant === others.grant
}

/** What tells one login from all others. */
export function identityOf({ url, auth }: Pick<HttpServerDefinition, 'url' | 'auth'>): string {
  const { account, client_id } = settingsOf({ auth })
  return identityString({ serverUrl: url, account: account ?? null, configuredClientId: client_id ?? null })
}

function settingsOf({ auth }: Pick<HttpServerDefinition, 'auth'>): OAuthSettings {
  return auth.method === 'oauth' ? auth.settings : {}
}

async function oauthServers(context: CommandContext): Promise<HttpServerDefinition[]> {
  const { definitions } = await knownServers(context)
  return definitions.filter(
    (definition): definition is HttpServerDefinition =>
      definition.kind === 'http' && definition.auth.method === 'oauth',
  )
}

/** A broken config file does not keep a login from being ended. */
async function knownServers(context: CommandContext): Promise<Pick<ServerList, 'definitions'>> {
  try {
    return await context.servers()
  } catch (error) {
    if (!isLatchkeyError(error)) throw error
    context.talk.say(`latchkey: warning: ${error.summary}`)
    return { definitions: [] }
  }
}

function serverOfKey(
  { account, identity }: CredentialKey,
  grant: JsonValue | undefined,
): HttpServerDefinition | undefined {
  const { server_url: url, configured_client_id: clientId } = identity
  if (url == null || !URL.canParse(url)) return undefined
  const settings = {
    ...(account !== null && { account }),
    ...(clientId != null && { client_id: clientId }),
    ...(isGrant(grant) && { grant }),
  }
  return {
    kind: 'http',
    name: shownUrl(url),
    url,
    transport: 'auto',
    headers: {},
    auth: { method: 'oauth', settings },
    disabled: false,
  }
}

function isGrant(value: JsonValue | undefined): value is GrantType {
  return GRANTS.some((grant) => grant === value)
}
