import { describe, expect, test } from 'vitest'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { DOCUMENT, type MovingServer, SECRET, sentTo, startMovingServer } from './fixtures/moving-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { failureOf } from './fixtures/workbench.ts'

// An MCP server that moves to another authorization server while a login of the first one is alive.

const opened = closedAfterEach()

async function scene(): Promise<MovingServer> {
  const started = await startMovingServer()
  opened.push(started)
  return started
}

/** Opens a session before the move and calls a tool after it. */
async function callAfterMove({ bench, server, callback_port, move }: MovingServer, auth: OAuthConfig = {}) {
  const config = { demo: { url: server.url, auth: { callback_port, ...auth } } }
  const session = await bench.client(config).createSession('demo')
  await session.callTool('whoami')
  move()
  return session.callTool('whoami')
}

test('[BIND-02] [BIND-03] [REF-01] a registered client: the metadata is read again, a new client registered, and nothing of the first login goes to the second', async () => {
  const all = await scene()
  await callAfterMove(all)
  const { first, second, server, bench } = all
  expect(server.requests.lines()).toContain('GET /.well-known/oauth-protected-resource/mcp')
  expect(second.requests.to('/register')).toHaveLength(1)
  const [registered, exchange] = first.requests.to('/token').map(parameters)
  // The refresh token was alive: it was tried where it came from, and only there.
  expect([registered?.grant_type, exchange?.grant_type]).toEqual(['authorization_code', 'refresh_token'])
  expect(second.requests.to('/token').map((sent) => parameters(sent).grant_type)).toEqual([
    'authorization_code',
  ])
  expect(sentTo(second)).not.toContain(exchange!.client_id)
  expect(sentTo(second)).not.toContain(exchange!.refresh_token)
  expect(bench.browser.opened).toHaveLength(2)
  expect(await bench.latchkey.status({ url: server.url })).toMatchObject({ issuer: second.issuer })
})

test('[BIND-06] a client of a metadata document is the same client at the second, without registration', async () => {
  const all = await scene()
  await callAfterMove(all, { client_metadata_url: DOCUMENT })
  for (const { requests } of [all.first, all.second]) {
    expect(requests.to('/register')).toEqual([])
    expect(requests.to('/authorize').map(({ query }) => query.get('client_id'))).toEqual([DOCUMENT])
  }
})

describe('a pre-registered client', () => {
  const auth = { client_id: 'mine', client_secret: SECRET }

  test('[BIND-04] is not shown to the second: an error that names both, and no browser', async () => {
    const all = await scene()
    expect(await failureOf(callAfterMove(all, auth))).toMatchObject({
      code: 'issuer_mismatch',
      expected: all.first.issuer,
      actual: all.second.issuer,
      remedy: expect.stringContaining('login --force'),
    })
    expect(all.bench.browser.opened).toHaveLength(1)
    expect(all.second.requests.lines()).toEqual(['GET /.well-known/oauth-authorization-server'])
    expect(sentTo(all.second)).not.toMatch(/mine|secret/)
  })

  test('[BIND-04] is shown to it once the person says that the server has moved', async () => {
    const all = await scene()
    const { bench, server, callback_port, second } = all
    const entry = { name: 'demo', url: server.url, auth: { ...auth, callback_port } }
    await bench.login(entry)
    all.move()
    expect(await failureOf(bench.login(entry))).toMatchObject({ code: 'issuer_mismatch' })
    expect(await bench.login(entry, { force: true })).toMatchObject({ issuer: second.issuer })
  })

  test('[BIND-05] goes to no other than the configured issuer, from the first sign-in on and whatever is forced', async () => {
    const { bench, server, callback_port, first, second } = await scene()
    const entry = (issuer: string) => ({ url: server.url, auth: { ...auth, callback_port, issuer } })
    expect(await failureOf(bench.login(entry(second.issuer), { force: true }))).toMatchObject({
      code: 'issuer_mismatch',
      remedy: expect.stringContaining('change `auth.issuer`'),
    })
    expect(bench.browser.opened).toEqual([])
    expect(await bench.login(entry(first.issuer))).toMatchObject({ issuer: first.issuer })
  })
})
