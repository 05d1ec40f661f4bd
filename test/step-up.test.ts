import { describe, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import type { OAuthProtection } from './fixtures/mcp-protection.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { startScriptedAuthorizationServer } from './fixtures/scripted-authorization-server.ts'
import { failureOf, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const opened = closedAfterEach()

const tool = (name: string) => ({ name, call: () => `${name} done` })
const TOOLS = ['read', 'write', 'admin'].map(tool)
const TOOL_SCOPES = { read: 'mcp:read', write: 'mcp:write', admin: 'mcp:admin' }

interface Scene {
  authorizationServer: AuthorizationServer
  server: McpServerFixture
  bench: Workbench
}

async function scene(protection: Partial<OAuthProtection> = {}): Promise<Scene> {
  const scopes = ['mcp:read', 'mcp:write', 'mcp:admin']
  const authorizationServer = await startAuthorizationServer({ scopes, offlineAccess: false })
  const server = await startProtectedServer(authorizationServer, {
    tools: TOOLS,
    protection: { challengeScope: 'mcp:read', toolScopes: TOOL_SCOPES, ...protection },
  })
  const bench = await openWorkbench()
  opened.push(authorizationServer, server, bench)
  return { authorizationServer, server, bench }
}

/** The scopes that the person was asked for, one entry a sign-in. */
const asked = ({ bench }: Scene) => bench.told('authorization_started').map(({ scope }) => scope)
const refreshes = ({ authorizationServer }: Scene) =>
  authorizationServer.requests.to('/token').filter(({ body }) => body.includes('grant_type=refresh_token'))

describe('403 insufficient_scope', () => {
  test('[STEP-01] [STEP-02] [STEP-05] asks once for each new scope, keeps what was asked for before, and never tries a refresh', async () => {
    const all = await scene()
    const session = await all.bench.client({ demo: { url: all.server.url } }).createSession('demo')
    for (const name of ['read', 'write', 'admin', 'write', 'read']) {
      expect((await session.callTool(name)).content).toEqual([{ type: 'text', text: `${name} done` }])
    }
    expect(asked(all)).toEqual(['mcp:read', 'mcp:read mcp:write', 'mcp:read mcp:write mcp:admin'])
    expect(refreshes(all)).toEqual([])
    // Each call reached its tool once: what was refused never got there.
    expect(all.server.toolCalls.map(({ name }) => name)).toEqual(['read', 'write', 'admin', 'write', 'read'])
  })

  test('[STEP-03] [STEP-04] gives up a server that always answers 403, and remembers the operation', async () => {
    const all = await scene()
    all.server.intercept = ({ body }) =>
      body.includes('"tools/call"')
        ? {
            status: 403,
            headers: { 'www-authenticate': 'Bearer error="insufficient_scope", scope="mcp:write"' },
          }
        : undefined
    const session = await all.bench.client({ demo: { url: all.server.url } }).createSession('demo')
    expect(await failureOf(session.callTool('write'))).toMatchObject({
      code: 'insufficient_scope',
      scope: 'mcp:write',
    })
    expect(asked(all)).toHaveLength(3)
    expect(await failureOf(session.callTool('write'))).toMatchObject({ code: 'insufficient_scope' })
    expect(asked(all)).toHaveLength(3)
  })

  test('[STEP-04] what is refused on the way to an operation counts for it, also where it has to connect anew', async () => {
    const server = await startScriptedAuthorizationServer({ mcp: { era: '2025' } })
    const bench = await openWorkbench()
    opened.push(server, bench)
    const session = await bench.client({ demo: { url: server.url } }).createSession('demo')
    const metadata = `resource_metadata="${server.origin}/.well-known/oauth-protected-resource/mcp"`
    const refused = (status: number, error: string) => ({
      status,
      headers: { 'www-authenticate': `Bearer error="${error}", scope="mcp:write", ${metadata}` },
    })
    const missing = refused(403, 'insufficient_scope')
    // One token is refused and so is the renewed one; then two logins have too little scope; then the server lets in.
    const atConnect = () => [...Array(2).fill(refused(401, 'invalid_token')), missing, missing]
    let [isForgotten, refusals] = [false, atConnect()]
    server.intercept = ({ method, body }) => {
      if (method !== 'POST') return undefined
      if (/"(server\/discover|initialize)"/.test(body)) return refusals.shift()
      if (!body.includes('"tools/call"')) return undefined
      isForgotten = !isForgotten
      if (!isForgotten) return missing
      refusals = atConnect()
      return { status: 404 }
    }
    const asked: number[] = []
    for (let call = 0; call < 4; call += 1) {
      const before = bench.told('browser_opened').length
      expect(await failureOf(session.callTool('whoami'))).toMatchObject({
        code: expect.stringMatching(/^(insufficient_scope|login_required)$/),
      })
      asked.push(bench.told('browser_opened').length - before)
    }
    expect(asked).toEqual([3, 0, 0, 0])
  })

  test('[STEP-07] is a typed error at once where nobody may be asked', async () => {
    const all = await scene()
    await all.bench.login({ name: 'demo', url: all.server.url })
    const options = { interactive: 'never' } as const
    const session = await all.bench.client({ demo: { url: all.server.url } }, options).createSession('demo')
    expect(await failureOf(session.callTool('write'))).toMatchObject({
      code: 'insufficient_scope',
      scope: 'mcp:write',
      remedy: expect.stringContaining('auth.scope'),
    })
    expect(asked(all)).toHaveLength(1)
  })
})

test('[SCOPE-08] a 401 that says insufficient_scope is a first question: it adds nothing to the configured scope', async () => {
  const all = await scene()
  const { url } = all.server
  all.server.intercept = ({ headers, pathname }) => {
    if (pathname !== '/mcp' || headers.authorization) return undefined
    return {
      status: 401,
      headers: { 'www-authenticate': 'Bearer error="insufficient_scope", scope="mcp:admin"' },
    }
  }
  const auth = { scope: 'mcp:read' }
  await all.bench.login({ name: 'demo', url, auth })
  await all.bench.client({ demo: { url, auth: { ...auth, account: 'other' } } }).createSession('demo')
  expect(asked(all)).toEqual(['mcp:read', 'mcp:read'])
})
