/** Tokens bound to a key (RFC 9449): whoever sees one on its way cannot use it. The key is made and kept with the login. */
import { MCPClient } from 'latchkey'

const client = new MCPClient(
  { mcpServers: { demo: { url: process.env.MCP_URL ?? '', auth: { dpop: true } } } },
  { interactive: 'always' },
)
const session = await client.createSession('demo')
const { content } = await session.callTool('whoami')
console.log(JSON.stringify(content))
await client.closeAllSessions()
