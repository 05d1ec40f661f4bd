import type { GrantType, ServerDefinition } from '../definitions.ts'

/** The extension of MCP that each grant belongs to. */
const OF_GRANT: Readonly<Record<GrantType, string>> = {
  client_credentials: 'io.modelcontextprotocol/oauth-client-credentials',
  'jwt-bearer': 'io.modelcontextprotocol/auth/wif',
  'id-jag': 'io.modelcontextprotocol/enterprise-managed-authorization',
}

/** The authorization extensions of MCP that a server's configuration uses, to be declared to that server. */
export function authExtensions(definition: ServerDefinition): Record<string, Record<string, never>> {
  if (definition.kind !== 'http' || definition.auth.method !== 'oauth') return {}
  const { dpop, grant } = definition.auth.settings
  return {
    ...(grant && { [OF_GRANT[grant]]: {} }),
    ...(dpop && { 'io.modelcontextprotocol/auth/dpop': {} }),
  }
}
