import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createLatchkey } from '../src/latchkey.ts'
import { McpClient } from '../src/mcp/client.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { nodePlatform } from '../src/node-platform.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { startAuthorizationServer } from './fixtures/authorization-server.ts'
import { createConsentBrowser } from './fixtures/consent-browser.mjs'
import { startMcpServer } from './fixtures/mcp-server.ts'

test('signs in by dynamic registration and calls a tool', async () => {
  const as = await startAuthorizationServer({})
  const mcp = await startMcpServer({ protect: { kind: 'oauth', authorizationServers: [as.issuer], verify: as.verifyAccessToken } })
  const home = await mkdtemp(join(tmpdir(), 'latchkey-'))
  const browser = createConsentBrowser({ user: 'alice' })
  const events: LatchkeyEvent[] = []
  const latchkey = createLatchkey({ ...nodePlatform, createStore: (emit) => createFileStore({ home, emit }) })
  const options = { openUrl: browser.open, onEvent: (e: LatchkeyEvent) => void events.push(e) }
  const client = new McpClient({ mcpServers: { demo: { url: mcp.url } } }, { ...options, runtime: latchkey.runtime(options), platform: nodePlatform, version: '0' })
  try {
    const session = await client.createSession('demo')
    const result = await session.callTool('whoami')
    console.log(JSON.stringify(result), session.protocolVersion, session.transport)
  } finally {
    console.log(events.map((e) => e.type === 'http_exchange' ? `${e.stage} ${e.method} ${e.url} ${e.status}` : e.type).join('\n'))
    await client.closeAllSessions()
    await mcp.close(); await as.close()
  }
})
