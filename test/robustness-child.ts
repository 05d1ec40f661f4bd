/**
 * A program of somebody who has the package and nothing else: `node robustness-child.mjs SERVERS`. Signs in to all of them at
 * once, asks each who it is, signs out; writes what came of it, by name, in one line of JSON.
 */
import { type LoginStatus, login, logout, MCPClient } from 'latchkey'

/** What became of one server: the code of the error, or what it said, when the login ends and how it ended. */
export type Ending = { code: string } | { said: string; expires_at?: number; logout: string }

const servers = JSON.parse(process.argv[2] ?? '{}') as Record<string, { url: string }>

async function use(name: string, server: { url: string }): Promise<Ending> {
  let status: LoginStatus
  try {
    status = await login(server, { interactive: 'always' })
  } catch (error) {
    return { code: (error as { code?: string }).code ?? String(error) }
  }
  const client = new MCPClient({ mcpServers: { [name]: server } }, { interactive: 'never' })
  const { content } = await (await client.createSession(name)).callTool('whoami')
  await client.closeAllSessions()
  const said = content.map((part) => (part.type === 'text' ? part.text : part.type)).join()
  const { expires_at } = status
  return { said, ...(expires_at !== undefined && { expires_at }), logout: await logout(server) }
}

const endings = Object.entries(servers).map(
  async ([name, server]) => [name, await use(name, server)] as const,
)
process.stdout.write(JSON.stringify(Object.fromEntries(await Promise.all(endings))))
