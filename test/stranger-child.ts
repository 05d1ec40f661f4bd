/**
 * A program of somebody who has the package and nothing else: `node stranger-child.mjs CONFIG`. For every line on stdin it
 * uses each server of its config, and says in one line of JSON what came of it.
 */
import { createInterface } from 'node:readline'
import { MCPClient, type Session } from 'latchkey'
import type { Outcome, Outcomes } from './stranger-program.ts'

// A sign-in that nobody can finish is to fail a test, not to hold it up.
const options = { interactive: 'always', callbackTimeout: 15_000 } as const
const client = new MCPClient(JSON.parse(process.argv[2] ?? ''), options)

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

for await (const _line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await useAll())}\n`)
}
await client.closeAllSessions()
