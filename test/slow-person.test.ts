import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import type { McpServerOptions } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { failureOf, openWorkbench } from './fixtures/workbench.ts'

/** The limit of one MCP request, and how long the person takes, in milliseconds. */
const limit = 1_000
const personTime = 3_000

const servers: [string, McpServerOptions][] = [
  ['a 2025 server', { era: '2025' }],
  ['a 2026-07-28 server', { era: '2026' }],
  ['an SSE server', { transport: 'sse' }],
]

test.concurrent.each(servers)(
  '[USE-07] a person who takes longer than a request may is waited for, at connect and at a later call: %s',
  async (_title, options) => {
    const authorizationServer = await startAuthorizationServer()
    const server = await startProtectedServer(authorizationServer, options)
    const bench = await openWorkbench({ person: { delay: personTime } })
    try {
      // Without a refresh token only the person helps.
      const entry = { url: server.url, timeout: limit, auth: { offline_access: false } }
      const started = performance.now()
      const session = await bench.client({ demo: entry }).createSession('demo')
      expect(performance.now() - started).toBeGreaterThan(personTime)
      await session.callTool('echo', { text: 'first' })

      authorizationServer.expireAccessTokens()
      const called = performance.now()
      const { content } = await session.callTool('echo', { text: 'second' })
      expect(performance.now() - called).toBeGreaterThan(personTime)
      expect(content).toEqual([{ type: 'text', text: 'second' }])

      expect(bench.browser.opened).toHaveLength(2)
      expect(server.toolCalls.map(({ args }) => args.text)).toEqual(['first', 'second'])
      const [first, second] = server.toolCalls.map(({ authorization }) => authorization)
      expect(second).toMatch(/^Bearer /)
      expect(second).not.toBe(first)
    } finally {
      await bench.close()
      await Promise.all([server.close(), authorizationServer.close()])
    }
  },
)

test.concurrent('the limit of the config holds for tool calls; one of the call goes before it', async () => {
  const authorizationServer = await startAuthorizationServer()
  const slow = { name: 'slow', call: async () => sleep(3_000).then(() => 'done') }
  const server = await startProtectedServer(authorizationServer, { tools: [slow] })
  const bench = await openWorkbench()
  try {
    const session = await bench.client({ demo: { url: server.url, timeout: 1_500 } }).createSession('demo')
    expect(await failureOf(session.callTool('slow'))).toMatchObject({ code: 'REQUEST_TIMEOUT' })
    const { content } = await session.callTool('slow', {}, { timeout: 15_000 })
    expect(content).toEqual([{ type: 'text', text: 'done' }])
  } finally {
    await bench.close()
    await Promise.all([server.close(), authorizationServer.close()])
  }
})

test.concurrent('a caller who gives up waiting does not end the sign-in that others wait for', async () => {
  const authorizationServer = await startAuthorizationServer()
  const server = await startProtectedServer(authorizationServer)
  const bench = await openWorkbench({ person: { delay: 300 } })
  try {
    const session = await bench
      .client({ demo: { url: server.url, auth: { offline_access: false } } })
      .createSession('demo')
    authorizationServer.expireAccessTokens()
    const abort = new AbortController()
    const impatient = failureOf(session.callTool('echo', { text: 'no' }, { signal: abort.signal }))
    const patient = session.callTool('echo', { text: 'yes' })
    await expect.poll(() => bench.browser.opened.length).toBe(2)
    abort.abort()
    expect(await impatient).toMatchObject({ code: 'sign_in_cancelled' })
    expect((await patient).content).toEqual([{ type: 'text', text: 'yes' }])
    expect(bench.browser.opened).toHaveLength(2)
    expect(server.toolCalls.map(({ args }) => args.text)).toEqual(['yes'])
  } finally {
    await bench.close()
    await Promise.all([server.close(), authorizationServer.close()])
  }
})
