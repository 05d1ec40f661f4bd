/**
 * A program with a session that lives for many rounds: `node campaign-child.mjs JSON`, see `CampaignWork`. Takes its orders
 * from stdin, a line each, and answers each in a line: `open`, `call COUNT`, `pass MILLISECONDS`, `go`.
 */
import { createInterface } from 'node:readline'
import { createLatchkey } from '../src/latchkey.ts'
import { McpClient } from '../src/mcp/client.ts'
import type { CredentialStore } from '../src/ports.ts'
import type { Called, CampaignAnswer, CampaignWork, Gate } from './campaign-program.ts'
import { openCampaignStore } from './campaign-stores.ts'
import { platformThrough } from './fixtures/platform-through.ts'
import { createShiftedClock } from './fixtures/shifted-clock.ts'

const work: CampaignWork = JSON.parse(process.argv[2] ?? '')
const say = (answer: CampaignAnswer): void => void process.stdout.write(`${JSON.stringify(answer)}\n`)
const clock = createShiftedClock()
clock.pass(work.ahead ?? 0)

/** Where the test may stop this process for certain; its heart goes on beating meanwhile. */
let opened = (): void => {}
async function standAt(gate: Gate): Promise<void> {
  if (work.gate !== gate) return
  work.gate = undefined
  const waiting = new Promise<void>((resolve) => {
    opened = resolve
  })
  say({ at: gate })
  await waiting
}

let lockWaits: number[] = []
const { store: plain, close } = await openCampaignStore(work.store)
const store: CredentialStore = {
  ...plain,
  lock: async (...args) => {
    const asked = performance.now()
    const lease = await plain.lock(...args)
    lockWaits.push(performance.now() - asked)
    await standAt('locked')
    return {
      isHeld: async () => {
        await standAt('checking')
        return lease.isHeld()
      },
      release: () => lease.release(),
    }
  },
}

const through = platformThrough(async (url, send) => {
  if (!new URL(url).pathname.endsWith('/token')) return send()
  await standAt('sending')
  const response = await send()
  const body = await response.arrayBuffer()
  await standAt(response.status === 429 ? 'put off' : 'answered')
  return new Response(body, response)
})

const options = { interactive: 'never', store } as const
const platform = { ...through, clock }
const client = new McpClient(
  { mcpServers: { demo: work.server } },
  { ...options, runtime: createLatchkey(platform).runtime(options), platform, version: '0' },
)

async function call(count: number): Promise<Called> {
  lockWaits = []
  const started = performance.now()
  const outcomes = await Promise.allSettled(
    Array.from({ length: count }, async () => (await client.createSession('demo')).callTool('whoami')),
  )
  const said = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') return String(outcome.reason?.code ?? outcome.reason)
    return outcome.value.content.map((part) => (part.type === 'text' ? part.text : part.type)).join()
  })
  return { said, took: performance.now() - started, lockWaits }
}

async function obey(order: string, value: number): Promise<void> {
  if (order === 'call') return say(await call(value))
  if (order === 'go') return opened()
  if (order !== 'pass') throw new Error(`unknown order ${order}`)
  clock.pass(value)
  say({ passed: value })
}

say('ready')
// Orders do not wait for each other: `go` comes in the middle of a call.
for await (const line of createInterface({ input: process.stdin })) {
  const [order = '', value] = line.split(' ')
  void obey(order, Number(value))
}
await client.closeAllSessions()
await close()
