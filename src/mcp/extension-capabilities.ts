import type { ClientCapabilities } from '@modelcontextprotocol/client'
import type { GrantType, ServerDefinition } from '../definitions.ts'

/** The extension of MCP that each grant belongs to. */
const EXTENSIONS: Readonly<Record<GrantType, string>> = {
  client_credentials: 'io.modelcontextprotocol/oauth-client-credentials',
  'jwt-bearer': 'io.modelcontextprotocol/auth/wif',
  'id-jag': 'io.modelcontextprotocol/enterprise-managed-authorization',
}

/** The capabilities with the extension that this server's configuration uses declared in them. */
export function withExtensions(
  definition: ServerDefinition,
  capabilities: ClientCapabilities | undefined,
): ClientCapabilities {
  const grant =
    definition.kind === 'http' && definition.auth.method === 'oauth'
      ? definition.auth.settings.grant
      : undefined
  if (grant === undefined) return capabilities ?? {}
  return { ...capabilities, extensions: { [EXTENSIONS[grant]]: {}, ...capabilities?.extensions } }
}
