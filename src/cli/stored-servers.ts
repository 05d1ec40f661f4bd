import { identityString } from '../credentials/identity.ts'
import { GRANTS, type GrantType, type HttpServerDefinition } from '../definitions.ts'
import { isLatchkeyError } from '../errors/index.ts'
import type { CredentialKey, JsonValue } from '../ports.ts'
import type { CommandContext } from './context.ts'
import type { ServerList } from './server-list.ts'

/**
 * Every stored login as a server to work with: as configured where the configuration knows it (its client secret is
 * needed to revoke), else by its URL.
 */
export async function storedServers(context: CommandContext): Promise<HttpServerDefinition[]> {
  const configured = new Map((await oauthServers(context)).map((server) => [identityOf(server), server]))
  const stored = await context.runtime().store.list({ kind: 'tokens' })
  return stored.flatMap(({ key, record }) => {
    const server = serverOfKey(key, record.grant)
    return server ? [configured.get(identityOf(server)) ?? server] : []
  })
}

/** What tells one login from all others. */
export function identityOf({ url, auth }: HttpServerDefinition): string {
  const { account, client_id } = auth.method === 'oauth' ? auth.settings : {}
  return identityString({ serverUrl: url, account: account ?? null, configuredClientId: client_id ?? null })
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
    name: url,
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
