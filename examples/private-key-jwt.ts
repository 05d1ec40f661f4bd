/** A program with a client of its own and a private key (RFC 7523 §2.2), which never leaves this machine. */
import { MCPClient } from 'latchkey'

const client = new MCPClient({
  mcpServers: {
    demo: {
      url: process.env.MCP_URL ?? '',
      auth: {
        grant: 'client_credentials',
        client_id: 'nightly-report',
        // openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
        private_key_file: process.env.PRIVATE_KEY_FILE,
        issuer: process.env.ISSUER,
      },
    },
  },
})
const session = await client.createSession('demo')
const { content } = await session.callTool('echo', { text: 'hello from a program' })
console.log(JSON.stringify(content))
await client.closeAllSessions()
