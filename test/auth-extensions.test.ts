import { afterEach, describe, expect, test } from 'vitest'
import type { AuthConfig } from '../src/config/input.ts'
import { type Era, type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { openWorkbench, type Workbench } from './fixtures/workbench.ts'

// A server has to hear which authorization extensions of MCP a client uses, on either protocol.

let server: McpServerFixture
let bench: Workbench
afterEach(async () => {
  await bench?.close()
  await server?.close()
})

const machine = { client_id: 'machine', client_secret: 'secret' }
const idp = { issuer: 'https://idp.example', client_id: 'at-idp', id_token: 'e30.e30.e30' }

/** Where each revision carries the capabilities of the client. */
const CARRIED: Record<Exclude<Era, 'both'>, (message: Message) => unknown> = {
  '2025': ({ method, params }) => (method === 'initialize' ? params?.capabilities : undefined),
  '2026': ({ params }) => params?._meta?.['io.modelcontextprotocol/clientCapabilities'],
}
interface Message {
  method?: string
  params?: { capabilities?: object; _meta?: Record<string, unknown> }
}

describe.each(['2025', '2026'] as const)('on the wire of %s', (era) => {
  async function declared(auth: AuthConfig | undefined): Promise<unknown[]> {
    server = await startMcpServer({ era })
    bench = await openWorkbench({ options: { interactive: 'never' } })
    const client = bench.client({ demo: { url: server.url, ...(auth && { auth }) } })
    const session = await client.createSession('demo')
    await session.callTool('whoami')
    const messages = server.requests.flatMap(({ body }) => (body ? [JSON.parse(body) as Message] : []))
    const said = messages.map(CARRIED[era]).filter((each) => each !== undefined)
    expect(said.length).toBeGreaterThan(0)
    return said.map((each) => (each as { extensions?: object }).extensions)
  }

  test.each<[string, AuthConfig]>([
    ['io.modelcontextprotocol/oauth-client-credentials', { grant: 'client_credentials', ...machine }],
    ['io.modelcontextprotocol/auth/wif', { grant: 'jwt-bearer', assertion: 'e30.e30.e30' }],
    ['io.modelcontextprotocol/enterprise-managed-authorization', { grant: 'id-jag', ...machine, idp }],
    ['io.modelcontextprotocol/auth/dpop', { dpop: true }],
  ])('%s is declared by who uses it, in every message that carries capabilities', async (name, auth) => {
    for (const extensions of await declared(auth)) expect(extensions).toEqual({ [name]: {} })
  })

  test('a plain login declares none', async () => {
    for (const extensions of await declared(undefined)) expect(extensions).toBeUndefined()
  })
})
