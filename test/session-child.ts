/** A program that uses latchkey as its package offers it: `node session-child.mjs JSON`, see `SessionWork`. */
import { MCPClient } from '../src/node.ts'
import type { SessionOutcome, SessionWork } from './session-program.ts'

const work: SessionWork = JSON.parse(process.argv[2] ?? '')
const outcome: SessionOutcome = { exchanges: [], events: [] }
const client = new MCPClient(
  { mcpServers: { demo: work.server } },
  {
    interactive: work.interactive ?? 'always',
    onEvent: (event) => {
      outcome.events.push(event.type)
      if (event.type !== 'http_exchange') return
      outcome.exchanges.push(`${event.stage} ${event.method} ${event.status ?? 'failed'}`)
    },
  },
)
try {
  const session = await client.createSession('demo')
  const calls = Array.from({ length: work.calls ?? 1 }, () => session.callTool('whoami'))
  outcome.said = (await Promise.all(calls)).flatMap(({ content }) =>
    content.map((part) => (part.type === 'text' ? part.text : part.type)),
  )
} catch (error) {
  const { code, message } = error as { code?: string; message: string }
  outcome.error = { code, message }
}
await client.closeAllSessions()
// No process.exit: that nothing is left which keeps a process alive is part of what is tested.
process.stdout.write(JSON.stringify({ ...outcome, finished: Date.now() }))
