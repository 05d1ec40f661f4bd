import type { ServerDefinition } from '../definitions.ts'

/** The authorization extensions of MCP that a server's configuration uses, to be declared to that server. */
export function authExtensions(definition: ServerDefinition): Record<string, Record<string, never>> {
  if (definition.kind !== 'http' || definition.auth.method !== 'oauth') return {}
  const { dpop } = definition.auth.settings
  return { ...(dpop && { 'io.modelcontextprotocol/auth/dpop': {} }) }
}
