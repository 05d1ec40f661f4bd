import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileScene, type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import type { Answer } from '../fixtures/loopback-server.ts'
import { parameters, type RecordedRequest } from '../fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from '../fixtures/scripted-authorization-server.ts'
import { freePort } from '../fixtures/workbench.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: a server that passes itself, or another one, off as the authorization server.

vi.setConfig({ testTimeout: 180_000 })

const opened = closedAfterEach()
const scene = scenesNotedIn(opened)

async function attacker(): Promise<ScriptedAuthorizationServer> {
  const server = await startScriptedAuthorizationServer()
  opened.push(server)
  return server
}

/** Everything that a server was sent, as text. */
const sentTo = ({ requests }: ScriptedAuthorizationServer) =>
  JSON.stringify(requests.map(({ path, headers, body }) => [path, headers, body]))

const lines = ({ requests }: ScriptedAuthorizationServer) => requests.lines()

/** One sign-in for `good` alone, and no token of anybody else. */
function assertOnlyGood({ browsers, stored, hostile }: HostileScene, opens = 1): void {
  expect(browsers()).toHaveLength(opens)
  const store = Object.values(stored()).join()
  for (const { origin } of Object.values(hostile)) expect(store).not.toContain(`${origin}/`)
}

describe('S9 CVE-2026-104850: after a good login the MCP server names another authorization server', () => {
  const SECRET = 'canary-client-secret'

  /** The metadata names the attacker, and no token of before is taken. */
  const move = (server: ScriptedAuthorizationServer, to: ScriptedAuthorizationServer) => {
    server.scripts['resource-metadata'] = () => ({
      body: { resource: server.url, authorization_servers: [to.issuer] },
    })
    server.scripts.mcp = ({ body }) =>
      body.includes('tools/call')
        ? {
            status: 401,
            headers: {
              'www-authenticate': `Bearer error="invalid_token", resource_metadata="${server.origin}/.well-known/oauth-protected-resource/mcp"`,
            },
          }
        : undefined
  }

  /** Signs in, moves, and uses everything again. */
  async function meet(config: HostileServer['config'], client?: Record<string, unknown>) {
    const evil = await attacker()
    const clients = client ? { clients: [client as never] } : {}
    const all = await scene({ moved: { server: { mcp: {}, ...clients }, config: config ?? {} } })
    const moved = all.hostile.moved!
    const before = summary(await all.stranger.useAll())
    const secrets = [
      ...moved.requests.to('/token').flatMap((sent) => Object.values(parameters(sent))),
      ...Object.values(all.stored()).flatMap((text) => text.match(/\b[ar]t-[\w-]+/g) ?? []),
      SECRET,
    ].filter((value) => /^(at-|rt-|client-|canary|ey)/.test(value))
    move(moved, evil)
    const after = summary(await all.stranger.useAll())
    return { all, evil, moved, before, after, secrets }
  }

  test('a client that was registered: neither its tokens nor its name go to the other one, where it has to sign in anew', async () => {
    const { all, evil, before, after, secrets } = await meet({})
    expect(before).toEqual({ moved: 'alice', good: 'alice' })
    expect(secrets.length).toBeGreaterThanOrEqual(3)
    for (const secret of secrets) expect(sentTo(evil)).not.toContain(secret)
    // What it was sent first is a code of its own.
    expect(parameters(evil.requests.to('/token')[0]!).grant_type).toBe('authorization_code')
    expect(all.browsers()).toHaveLength(3)
    expect(after.good).toBe('alice')
  })

  test('a client of the configuration, with a secret: refused, and the other one is asked for its metadata alone', async () => {
    const callback_port = await freePort()
    const redirect_uris = [`http://localhost:${callback_port}/callback`]
    const { all, evil, before, after, secrets } = await meet(
      { auth: { client_id: 'mine', client_secret: SECRET, callback_port } },
      { client_id: 'mine', client_secret: SECRET, redirect_uris },
    )
    expect([before, after]).toEqual([
      { moved: 'alice', good: 'alice' },
      { moved: 'issuer_mismatch', good: 'alice' },
    ])
    expect(lines(evil)).toEqual(['GET /.well-known/oauth-authorization-server'])
    for (const secret of [...secrets, 'mine']) expect(sentTo(evil)).not.toContain(secret)
    expect(all.browsers()).toHaveLength(2)
  })

  test('a program with a private key: no assertion is signed for the other one, nor sent to it', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const evil = await attacker()
    const all = await scene({
      moved: {
        server: { mcp: {}, clients: [{ client_id: 'mine', redirect_uris: [] }] },
        config: { auth: { grant: 'client_credentials', client_id: 'mine', private_key } },
      },
    })
    const moved = all.hostile.moved!
    expect(summary(await all.stranger.useAll())).toEqual({ moved: 'alice', good: 'alice' })
    const assertions = moved.requests.to('/token').map((sent) => parameters(sent).client_assertion)
    expect(assertions).toEqual([expect.stringMatching(/^ey/)])
    move(moved, evil)
    // In the process that has the login, and in one that begins with what is stored.
    expect(summary(await all.stranger.useAll())).toEqual({ moved: 'issuer_mismatch', good: 'alice' })
    const { code, stdout } = await all.command('call', 'moved', 'whoami', '--json')
    expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'issuer_mismatch'])
    expect(lines(evil).filter((line) => !line.startsWith('GET /.well-known/'))).toEqual([])
    for (const secret of [...assertions, 'mine']) expect(sentTo(evil)).not.toContain(secret)
    expect(all.browsers()).toHaveLength(1)
  })
})

describe('S10 CVE-2026-115563: an MCP origin that answers for the real issuer with endpoints of its own', () => {
  test('resource metadata is missing, and the metadata at the origin names the real issuer', async () => {
    const real = await attacker()
    const all = await scene({
      token: {
        server: { mcp: { resourceMetadata: 'none' } },
        arrange: (server) => {
          server.scripts.metadata = () => ({
            body: { ...real.metadata(), token_endpoint: `${server.origin}/token` },
          })
        },
      },
    })
    expect(summary(await all.stranger.useAll())).toEqual({ token: 'issuer_mismatch', good: 'alice' })
    expect(lines(real)).toEqual([])
    expect(all.hostile.token!.requests.to('/token')).toEqual([])
    assertOnlyGood(all)
    const { code, stdout } = await all.command('login', 'token', '--json', '--interactive', 'always')
    expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'issuer_mismatch'])
    expect((await all.command('call', 'good', 'whoami')).stdout).toContain('alice')
    assertOnlyGood(all)
  })
})

test('S11 metadata credential theft: an issuer that is not the one that the document was asked for', async () => {
  const real = await attacker()
  /** The real sign-in page, and where the code and the client secret go is the attacker's. */
  const posing = (issuer: (server: ScriptedAuthorizationServer) => string | undefined): HostileServer => ({
    arrange: (server) => {
      server.scripts.metadata = () => ({
        body: {
          ...server.metadata(),
          issuer: issuer(server),
          authorization_endpoint: `${real.origin}/authorize`,
        },
      })
    },
    config: { auth: { client_id: 'mine', client_secret: 'canary-client-secret' } },
  })
  const all = await scene({
    'the real one': posing(() => real.issuer),
    'a final slash': posing(({ issuer }) => `${issuer}/`),
    'another case': posing(({ issuer }) => issuer.toUpperCase()),
    'a default port': posing(({ issuer }) => issuer.replace(/:\d+/, ':80')),
    'a path': posing(({ issuer }) => `${issuer}/tenant`),
    none: posing(() => undefined),
  })
  const codes = Object.keys(all.hostile).map((name) => [name, 'issuer_mismatch'])
  expect(summary(await all.stranger.useAll())).toEqual({ ...Object.fromEntries(codes), good: 'alice' })
  expect(lines(real)).toEqual([])
  for (const server of Object.values(all.hostile)) {
    expect(server.requests.to('/token')).toEqual([])
    expect(sentTo(server)).not.toMatch(/canary|mine/)
  }
  assertOnlyGood(all)
})

test('S12 RFC 9207: an authorization response of another issuer, or of none', async () => {
  /** The response as it should be, but for its `iss`. */
  const responding = (iss: (issuer: string) => string | undefined): HostileServer => ({
    arrange: (server) => {
      server.scripts.authorize = (_request: RecordedRequest, answer: Answer) => {
        const to = new URL(String(answer.headers?.location))
        const value = iss(server.issuer)
        if (value === undefined) to.searchParams.delete('iss')
        else to.searchParams.set('iss', value)
        return { ...answer, headers: { location: to.href } }
      }
    },
  })
  const all = await scene({
    'of the attacker': responding(() => 'https://evil.example'),
    'missing although it is promised': responding(() => undefined),
    empty: responding(() => ''),
    'with a final slash': responding((issuer) => `${issuer}/`),
    'in another case': responding((issuer) => issuer.replace('http', 'HTTP')),
    'with another port': responding((issuer) => issuer.replace(/\d+$/, '80')),
    'with a path': responding((issuer) => `${issuer}/.`),
    'by another name of the host': responding((issuer) => issuer.replace('127.0.0.1', 'localhost')),
  })
  const names = Object.keys(all.hostile)
  const codes = names.map((name) => [name, 'issuer_mismatch'])
  expect(summary(await all.stranger.useAll())).toEqual({ ...Object.fromEntries(codes), good: 'alice' })
  // The code is worth nothing without the verifier, which stays here.
  for (const server of Object.values(all.hostile)) expect(server.requests.to('/token')).toEqual([])
  expect(Object.values(all.stored()).join()).not.toMatch(/"server_url": "(?!.*:\d+\/mcp").*/)
  expect(
    Object.values(all.stored())
      .join()
      .match(/"access_token"/g),
  ).toHaveLength(1)
  expect(all.browsers()).toHaveLength(names.length + 1)
})

test('S14 CVE-2026-54030: metadata for the resource of somebody else', async () => {
  const victim = 'https://mcp.victim.example/mcp'
  const speaking = (resource: (server: URL) => string): HostileServer => ({
    arrange: (server) => {
      server.scripts['resource-metadata'] = () => ({
        body: { resource: resource(new URL(server.url)), authorization_servers: [server.issuer] },
      })
    },
  })
  const all = await scene({
    'another vendor': speaking(() => victim),
    'a name that begins alike': speaking(({ hostname }) => `http://${hostname}.victim.example/mcp`),
    'a user name that looks like the host': speaking(({ host }) => `http://${host}@victim.example/mcp`),
    'another port': speaking(({ hostname }) => `http://${hostname}:1/mcp`),
    'another scheme': speaking(({ host }) => `https://${host}/mcp`),
    'another path of the same host': speaking(({ origin }) => `${origin}/victim`),
    'a path that begins alike': speaking(({ origin }) => `${origin}/mc`),
    below: speaking(({ origin }) => `${origin}/mcp/victim`),
    'dot segments': speaking(({ origin }) => `${origin}/mcp/../victim`),
    'a fragment': speaking(({ origin }) => `${origin}/mcp#victim`),
  })
  const codes = Object.keys(all.hostile).map((name) => [name, 'resource_mismatch'])
  expect(summary(await all.stranger.useAll())).toEqual({ ...Object.fromEntries(codes), good: 'alice' })
  for (const server of Object.values(all.hostile)) {
    expect(lines(server).filter((line) => /register|authorize|token/.test(line))).toEqual([])
  }
  assertOnlyGood(all)
  const { code, stdout } = await all.command('login', 'another vendor', '--json', '--interactive', 'always')
  expect([code, JSON.parse(stdout).error]).toEqual([
    1,
    expect.objectContaining({ code: 'resource_mismatch', resource: victim }),
  ])
})
