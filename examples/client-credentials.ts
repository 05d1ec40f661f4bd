/** A program with a client of its own and a secret (RFC 6749 §4.4): no person, no browser, no port. */
import { MCPClient } from 'latchkey'

const client = new MCPClient({
  mcpServers: {
    demo: {
      url: process.env.MCP_URL ?? '',
      auth: {
        grant: 'client_credentials',
        client_id: 'nightly-report',
        // The name of a variable: read anew for each token, and never written down.
        client_secret_env: 'CLIENT_SECRET',
        // The secret goes to this authorization server and to no other.
        issuer: process.env.ISSUER,
      },
    },
  },
})
const session = await client.createSession('demo')
const { content } = await session.callTool('echo', { text: 'hello from a program' })
console.log(JSON.stringify(content))
await client.closeAllSessions()
