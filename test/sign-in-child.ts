/**
 * One of several processes that want to sign in: `node sign-in-child.mjs JSON`, see `SignInWork`. Does what the lines on
 * stdin say, and tells in lines of JSON on stdout what happens. The browser is whoever reads them.
 */
import { createInterface } from 'node:readline'
import { authorizedFetch, login, MCPClient } from '../src/node.ts'
import type { SignInOutcome, SignInTold, SignInWork } from './sign-in-program.ts'

const work: SignInWork = JSON.parse(process.argv[2] ?? '')
const say = (told: SignInTold): void => void process.stdout.write(`${JSON.stringify(told)}\n`)
const abort = new AbortController()
const options = {
  ...work.options,
  signal: abort.signal,
  onEvent: (event: { type: string }) => say({ event }),
  ...(work.hasBrowser && { openUrl: (url: string) => say({ opened: url }) }),
}
const server = { name: 'demo', ...work.server }
const client = new MCPClient({ mcpServers: { demo: work.server } }, options)

/** What each of so many acts at once came to: text, a status, or the code of an error. */
async function atOnce(count: number, act: () => Promise<string>): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, () => act().catch((error: { code?: string }) => String(error.code))),
  )
}

const ACTS: Readonly<Record<string, (count: number) => Promise<string[]>>> = {
  login: async () => [(await login(server, options)).state],
  force: async () => [(await login(server, { ...options, force: true })).state],
  open: async () => [(await client.createSession('demo')).transport],
  calls: async (count) => {
    const session = await client.createSession('demo')
    return atOnce(count, async () => {
      const { content } = await session.callTool('whoami')
      return content.map((part) => (part.type === 'text' ? part.text : part.type)).join()
    })
  },
  /** As a transport does in the background when its event stream has broken off. */
  streams: (count) => {
    const fetch = authorizedFetch(server, options)
    const headers = { accept: 'text/event-stream' }
    return atOnce(count, async () => {
      const response = await fetch(server.url, { headers })
      await response.body?.cancel()
      return String(response.status)
    })
  },
  abort: async () => {
    abort.abort()
    return []
  },
}

async function perform(act: string, count: number): Promise<SignInOutcome> {
  const started = performance.now()
  try {
    const results = await ACTS[act]!(count)
    return { act, results, took: Math.round(performance.now() - started) }
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string }
    return { act, results: [], error: { code, message }, took: Math.round(performance.now() - started) }
  }
}

const performed: Promise<void>[] = []
for await (const line of createInterface({ input: process.stdin })) {
  const [act = '', count = '1'] = line.split(' ')
  performed.push(perform(act, Number(count)).then((outcome) => say({ outcome })))
}
await Promise.all(performed)
await client.closeAllSessions()
