/** A program that its platform vouches for (RFC 7523 §2.1): the platform projects a signed token into a file. */
import { MCPClient } from 'latchkey'

const client = new MCPClient({
  mcpServers: {
    demo: {
      url: process.env.MCP_URL ?? '',
      auth: {
        grant: 'jwt-bearer',
        client_id: 'workload',
        // In Kubernetes: /var/run/secrets/tokens/mcp. Read anew for each token, as the platform replaces it.
        assertion_file: process.env.ASSERTION_FILE,
        issuer: process.env.ISSUER,
      },
    },
  },
})
const session = await client.createSession('demo')
const { content } = await session.callTool('echo', { text: 'hello from a workload' })
console.log(JSON.stringify(content))
await client.closeAllSessions()
