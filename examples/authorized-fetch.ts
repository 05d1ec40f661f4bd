/** A `fetch` for any HTTP client: it carries the token, renews it, and never waits for a person. So the login comes first. */
import { authorizedFetch, login, status } from 'latchkey'

const server = { url: process.env.MCP_URL ?? '' }
const { state } = await status(server)
if (state !== 'signed_in') await login(server, { interactive: 'always' })

const fetch = authorizedFetch(server)
const response = await fetch(server.url, {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'example', version: '1.0.0' },
    },
  }),
})
await response.body?.cancel()
console.log(`The server answered with ${response.status}`)
