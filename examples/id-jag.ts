/**
 * Enterprise-managed authorization: the person is signed in with the organisation's identity provider already. Their ID
 * token becomes an assertion for one server (ID-JAG), and that an access token. Nobody is asked anything.
 */
import { MCPClient } from 'latchkey'

const client = new MCPClient({
  mcpServers: {
    demo: {
      url: process.env.MCP_URL ?? '',
      auth: {
        grant: 'id-jag',
        client_id: 'agent',
        client_secret_env: 'CLIENT_SECRET',
        issuer: process.env.ISSUER,
        idp: {
          issuer: process.env.IDP_ISSUER,
          client_id: 'agent-at-idp',
          client_secret_env: 'IDP_CLIENT_SECRET',
          id_token_env: 'ID_TOKEN',
        },
      },
    },
  },
})
const session = await client.createSession('demo')
const { content } = await session.callTool('echo', { text: 'hello from an agent' })
console.log(JSON.stringify(content))
await client.closeAllSessions()
