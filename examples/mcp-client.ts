/** The main use: a session with an MCP server. The first run signs a person in through the browser, the next ones do not. */
import { MCPClient } from 'latchkey'

const client = new MCPClient(
  { mcpServers: { demo: { url: process.env.MCP_URL ?? '' } } },
  // By itself latchkey opens a browser at a terminal only.
  { interactive: 'always' },
)
const session = await client.createSession('demo')
const { content } = await session.callTool('whoami')
console.log(JSON.stringify(content))
await client.closeAllSessions()
