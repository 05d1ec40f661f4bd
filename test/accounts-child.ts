/**
 * A program of somebody who has the package and nothing else: `node accounts-child.mjs URL ACCOUNTS`. Signs all accounts in, one
 * after the other, then asks the server with each of them who it is; writes one line of JSON.
 */
import { authorizedFetch, login, MCPClient, status } from 'latchkey'

const [, , url = '', list = '[]'] = process.argv
const accounts = JSON.parse(list) as string[]

const said: string[] = []
const locations: string[] = []
for (const account of accounts) {
  await login({ url, auth: { account } }, { interactive: 'always' })
}
for (const account of accounts) {
  const client = new MCPClient(
    { mcpServers: { server: { url, auth: { account } } } },
    { interactive: 'never' },
  )
  const { content } = await (await client.createSession('server')).callTool('whoami')
  said.push(content.map((part) => (part.type === 'text' ? part.text : part.type)).join())
  await client.closeAllSessions()
  locations.push((await status({ url, auth: { account } })).location ?? '')
}
const other = await authorizedFetch({ url, auth: { account: 'nobody signed in' } })(url, {
  method: 'POST',
}).then(
  ({ status }) => `HTTP ${status}`,
  (error: { code?: string }) => error.code,
)
process.stdout.write(JSON.stringify({ said, locations, other, polluted: Object.keys(Object.prototype) }))
