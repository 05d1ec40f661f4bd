import type { ServerDefinition } from '../definitions.ts'
import { McpClient } from '../mcp/client.ts'
import type { Session } from '../mcp/session.ts'
import { VERSION } from '../version.ts'
import type { CommandContext } from './context.ts'

/** Opens a session, signing in where that is needed and allowed, and closes it when the work is done. */
export async function withSession<T>(
  definition: ServerDefinition,
  { platform, runtime }: CommandContext,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const config = { definitions: [definition], warnings: [] }
  const client = new McpClient(config, { platform, runtime: runtime(), version: VERSION })
  try {
    return await work(await client.createSession(definition.name))
  } finally {
    await client.closeAllSessions()
  }
}
