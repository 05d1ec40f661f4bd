/**
 * A program of somebody who has the package and nothing else: `node stranger-child.mjs CONFIG`. For every line on stdin,
 * `use` or `post`, it turns to each server of its config, and says in one line of JSON what came of it.
 */
import { createInterface } from 'node:readline'
import { authorizedFetch, MCPClient, type McpServersConfig, type Session } from 'latchkey'
import type { HttpServerConfig } from '../src/config/input.ts'
import type { Outcome, Outcomes } from './stranger-program.ts'

// A sign-in that nobody can finish is to fail a test, not to hold it up.
const options = { interactive: 'always', callbackTimeout: 15_000 } as const
const config: McpServersConfig = JSON.parse(process.argv[2] ?? '')
const client = new MCPClient(config, options)

function failed(error: unknown): Outcome {
  const { code, message } = error as { code?: string; message: string }
  return { code: code ?? 'none', message }
}

async function whoami(session: Session): Promise<Outcome> {
  try {
    const { content } = await session.callTool('whoami')
    return { said: content.map((part) => (part.type === 'text' ? part.text : part.type)).join() }
  } catch (error) {
    return failed(error)
  }
}

async function useAll(): Promise<Outcomes> {
  const { sessions, errors } = await client.createAllSessions()
  const outcomes = Object.entries(errors).map(([name, error]) => [name, failed(error)] as const)
  const said = Object.entries(sessions).map(async ([name, session]) => [name, await whoami(session)] as const)
  return Object.fromEntries([...outcomes, ...(await Promise.all(said))])
}

/** Without the SDK, as another client would use it: a `fetch` that follows redirects. */
async function post(name: string, server: HttpServerConfig): Promise<Outcome> {
  try {
    const body = JSON.stringify({ secret: 'canary-in-the-body' })
    const response = await authorizedFetch({ name, ...server }, options)(server.url, { method: 'POST', body })
    await response.body?.cancel()
    return { said: `HTTP ${response.status}` }
  } catch (error) {
    return failed(error)
  }
}

async function postToAll(): Promise<Outcomes> {
  const servers = Object.entries(config.mcpServers) as [string, HttpServerConfig][]
  const said = servers.map(async ([name, server]) => [name, await post(name, server)] as const)
  return Object.fromEntries(await Promise.all(said))
}

for await (const line of createInterface({ input: process.stdin })) {
  const outcomes = await (line === 'post' ? postToAll() : useAll())
  process.stdout.write(`${JSON.stringify(outcomes)}\n`)
}
await client.closeAllSessions()
