/**
 * The client under test of the official conformance suite: the public API and nothing else. The suite starts it once a
 * scenario with the server's URL as the last argument, and judges what arrives at its servers.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type AuthConfig, isLatchkeyError, MCPClient, type Session } from '../src/node.ts'

interface ToolCall {
  name: string
  arguments: Record<string, unknown>
}

const url = process.argv.at(-1)!
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? ''
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as {
  client_id?: string
  client_secret?: string
  private_key_pem?: string
  signing_algorithm?: 'ES256'
  idp_client_id?: string
  idp_id_token?: string
  idp_token_endpoint?: string
  valid_jwt?: string
  toolCalls?: ToolCall[]
}

/** Exactly this URL stands for the client where the authorization server reads such documents. */
const DOCUMENT = 'https://conformance-test.local/client-metadata.json'

const client = new MCPClient(
  { mcpServers: { server: { url, auth: grant() ?? auth() } } },
  {
    store: 'memory',
    // Nobody opens a browser: the answer of the authorization endpoint leads to our own listener by itself.
    openUrl: async (start) => void (await fetch(start).then((page) => page.text())),
    clientCapabilities: { elicitation: { form: { applyDefaults: true } } },
    onElicitation: () => ({ action: 'accept', content: {} }),
    debug: true,
  },
)

try {
  const session = await client.createSession('server')
  await work(session)
} finally {
  await client.closeAllSessions()
}

/** What a host does with a new server: looks at its tools and uses them. */
async function work(session: Session): Promise<void> {
  const { tools } = await session.listTools()
  const calls =
    context.toolCalls ?? tools.map(({ name, inputSchema }) => ({ name, arguments: example(inputSchema) }))
  for (const call of calls) await use(session, call)
  // The authorization server changes after the first authorized call, so there has to be a second one.
  if (scenario === 'auth/authorization-server-migration') await use(session, calls[0]!)
  if (scenario === 'sse-retry') await sleep(1_000)
}

/** A host shows what a tool does wrong and goes on; what latchkey refuses is the end. */
async function use(session: Session, { name, arguments: args }: ToolCall): Promise<void> {
  try {
    await session.callTool(name, args)
  } catch (error) {
    if (isLatchkeyError(error)) throw error
    console.error(`${name}: ${error}`)
  }
}

/** The grants of the extension scenarios, with what the suite gives for them. */
function grant(): AuthConfig | undefined {
  const { client_id, client_secret } = context
  switch (scenario) {
    case 'auth/client-credentials-basic':
      return { grant: 'client_credentials', client_id, client_secret }
    case 'auth/client-credentials-jwt': {
      const { private_key_pem: private_key, signing_algorithm } = context
      return { grant: 'client_credentials', client_id, private_key, signing_algorithm }
    }
    case 'auth/wif-jwt-bearer':
      return { grant: 'jwt-bearer', client_id, assertion: context.valid_jwt }
    case 'auth/enterprise-managed-authorization': {
      const { idp_token_endpoint: token_endpoint, idp_client_id, idp_id_token: id_token } = context
      const idp = { token_endpoint, client_id: idp_client_id!, id_token }
      return { grant: 'id-jag', client_id, client_secret, idp }
    }
    default:
      return undefined
  }
}

/**
 * Several scenarios run side by side on one machine: each takes a port of its own where the redirect URI is fixed, below
 * those that the system gives to outgoing connections.
 */
function auth() {
  const callback_port = 10_000 + (process.pid % 20_000)
  const { client_id, client_secret } = context
  if (scenario.startsWith('auth/dpop')) return { dpop: true, callback_port }
  if (client_id === undefined || client_secret === undefined)
    return { client_metadata_url: DOCUMENT, callback_port }
  return { client_id, client_secret, callback_port }
}

/** Arguments that a schema accepts: a small value for each required property. */
function example(schema: { required?: unknown; properties?: unknown }): Record<string, unknown> {
  const properties = (schema.properties ?? {}) as Record<string, { type?: string; default?: unknown }>
  const required = (schema.required ?? []) as string[]
  const values: Record<string, unknown> = {
    string: 'text',
    number: 2,
    integer: 2,
    boolean: true,
    array: [],
    object: {},
  }
  return Object.fromEntries(
    required.map((name) => [name, properties[name]?.default ?? values[properties[name]?.type ?? 'string']]),
  )
}
