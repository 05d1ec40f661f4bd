import { expect, test } from 'vitest'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { parameters } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { freePort, openWorkbench } from './fixtures/workbench.ts'

// RFC 8707 `resource`, in the authorization request, the code exchange and the refresh.

const opened = closedAfterEach()

const PRM = '/.well-known/oauth-protected-resource'

interface Case {
  /** Path of the MCP server. */
  path?: string
  /** What is configured, where it is spelled in another way than the server's own URL. */
  configured?: (server: ScriptedAuthorizationServer) => string
  /** `resource` of the metadata; without it there is none. */
  metadata?: (server: ScriptedAuthorizationServer) => string
  expected: (server: ScriptedAuthorizationServer) => string
}

const upper = ({ origin }: ScriptedAuthorizationServer) => `${origin.replace('http:', 'HTTP:')}/mcp`

test.each<[string, Case]>([
  ['the URL of the metadata', { metadata: ({ url }) => url, expected: ({ url }) => url }],
  [
    'the origin, as the metadata says so',
    { metadata: ({ origin }) => origin, expected: ({ origin }) => origin },
  ],
  [
    '[RES-05] a slash that the metadata has, unchanged',
    { metadata: ({ url }) => `${url}/`, expected: ({ url }) => `${url}/` },
  ],
  ['[RES-05] capitals that the metadata has, unchanged', { metadata: upper, expected: upper }],
  ['[RES-04] without metadata the configured URL, with its path', { expected: ({ url }) => url }],
  ['[RES-04] without metadata no slash behind an origin', { path: '/', expected: ({ origin }) => origin }],
  ['without metadata a slash that is part of the path', { path: '/mcp/', expected: ({ url }) => url }],
  [
    '[RES-04] without metadata neither capitals nor fragment nor query',
    { configured: (server) => `${upper(server)}?key=1#part`, expected: ({ url }) => url },
  ],
])(
  '[RES-01] [RES-02] [RES-03] %s: the same in all three requests',
  async (_title, { path = '/mcp', configured, metadata, expected }) => {
    const server = await startScriptedAuthorizationServer({ mcp: { path, resourceMetadata: 'none' } })
    const bench = await openWorkbench()
    opened.push(bench, server)
    if (metadata) {
      const body = { resource: metadata(server), authorization_servers: [server.issuer] }
      server.intercept = ({ pathname }) => (pathname.startsWith(PRM) ? { body } : undefined)
    }
    const demo = {
      url: configured?.(server) ?? server.url,
      auth: { callback_port: await freePort() },
    }
    await bench.login(demo)
    await changeStoredLogins(bench.home, expired)
    await bench.token(demo)
    expect([
      ...server.requests.to('/authorize').map(({ query }) => query.getAll('resource')),
      ...server.requests.to('/token').map(({ body }) => new URLSearchParams(body).getAll('resource')),
    ]).toEqual(Array(3).fill([expected(server)]))
    expect(server.requests.to('/token').map((sent) => parameters(sent).grant_type)).toEqual([
      'authorization_code',
      'refresh_token',
    ])
  },
)
