import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileScene, type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import type { Answer } from '../fixtures/loopback-server.ts'
import type { RecordedRequest } from '../fixtures/request-log.ts'
import type { Script, startScriptedAuthorizationServer } from '../fixtures/scripted-authorization-server.ts'
import { requires } from '../requires.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: what a server says in its headers and in the text of its errors is data of that server and nothing else.

vi.setConfig({ testTimeout: 120_000 })

const opened = closedAfterEach()
const scene = scenesNotedIn(opened)

type Scripts = Awaited<ReturnType<typeof startScriptedAuthorizationServer>>['scripts']
const scripted = (scripts: Scripts): HostileServer => ({
  arrange: (server) => {
    server.scripts = scripts
  },
})

/** What is said to a caller with a token; a request without one gets its 401. */
const toTheSignedIn = (say: (request: RecordedRequest) => Answer | undefined): Scripts => ({
  mcp: (request, answer) => (answer.status === 401 ? undefined : say(request)),
})

/** A server of 2025 that answers by hand, and names its session as it likes. */
function naming(answer: (body: string) => Answer): HostileServer {
  return scripted(
    toTheSignedIn(({ method, body }) => {
      if (method !== 'POST') return { status: 405 }
      const { id, method: asked, params } = JSON.parse(body)
      if (id === undefined) return { status: 202 }
      const result = {
        initialize: {
          protocolVersion: params?.protocolVersion ?? '2025-06-18',
          capabilities: { tools: {} },
          serverInfo: { name: 'by hand', version: '1' },
        },
        'tools/list': { tools: [{ name: 'whoami', inputSchema: { type: 'object' } }] },
        'tools/call': { content: [{ type: 'text', text: 'alice' }] },
      }[asked as string]
      if (!result) return { body: { jsonrpc: '2.0', id, error: { code: -32_601, message: 'unknown' } } }
      const said = { jsonrpc: '2.0', id, result }
      return asked === 'initialize' ? answer(JSON.stringify(said)) : { body: said }
    }),
  )
}

/** A response as no HTTP library would write it. */
const raw = (status: string, headers: string, body = ''): Answer => ({
  stream: ({ socket }) =>
    socket?.end(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
      'latin1',
    ),
})

const INJECTED = 'a\r\nX-Injected: yes'
const injections = ({ hostile, good }: HostileScene) =>
  [...Object.values(hostile), good].flatMap(({ requests }) =>
    requests.filter(({ headers }) => 'x-injected' in headers).map(({ path }) => path),
  )

requires('strace', existsSync('/usr/bin/strace'))('S23 MCPC-SR L6: the id of a session', () => {
  const IDS = {
    'a flag': '--insecure',
    'a flag with a value': '--upload-pack=evil-script',
    'a short flag': '-o/tmp/pwned',
    'a command': '$(calc)`calc`|calc&calc',
    'a path': '../../../etc/passwd',
    'quotes and commas': '"x", y; z=\'',
    'a tab': 'a\tb',
    'a control character of C1': 'A\u009b8mB',
    'eight kilobytes': 'x'.repeat(8192),
  }
  /** As bytes that stand in no header. */
  const BROKEN = { escape: 'A\u001b[8mB', 'a carriage return': 'a\rX-Injected: yes', nul: 'a\u0000b' }

  test('goes back as a header of that server, and is in the arguments of no program', async () => {
    const kept = Object.entries(IDS).map(([what, id]) => [
      what,
      naming((body) => ({
        headers: { 'mcp-session-id': id, 'content-type': 'application/json' },
        body,
      })),
    ])
    const broken = Object.entries(BROKEN).map(([what, id]) => [
      what,
      naming((body) => raw('200 OK', `mcp-session-id: ${id}`, body)),
    ])
    let trace = ''
    const all = await scene(Object.fromEntries([...kept, ...broken]), {
      prefix: ({ path }) => {
        trace = join(path, 'trace')
        return ['strace', '-f', '--seccomp-bpf', '-s', '65536', '-e', 'trace=execve', '-o', trace]
      },
    })
    const outcomes = summary(await all.stranger.useAll())
    expect(outcomes.good).toBe('alice')
    for (const what of Object.keys(IDS)) expect([what, outcomes[what]]).toEqual([what, 'alice'])
    for (const what of Object.keys(BROKEN)) {
      expect([what, outcomes[what]]).toEqual([what, expect.stringMatching(/^(network|connect)_failed$/)])
    }
    expect(injections(all)).toEqual([])

    for (const [what, id] of Object.entries(IDS)) {
      const own = all.hostile[what]!
      const called = own.requests.filter(({ body }) => body.includes('tools/call'))
      expect([what, called.map(({ headers }) => headers['mcp-session-id'])]).toEqual([what, [id]])
      for (const { requests, origin } of [...Object.values(all.hostile), all.good]) {
        if (origin === own.origin) continue
        expect(requests.filter(({ headers }) => headers['mcp-session-id'] === id)).toEqual([])
      }
    }
    await all.stranger.end()
    // The first one is the stranger's, started by the test.
    const [, ...ran] = readFileSync(trace, 'utf8').match(/execve\(.*/g) ?? []
    expect(ran.length).toBeGreaterThan(0)
    for (const id of ['--insecure', 'upload-pack', 'pwned', 'calc', 'passwd', 'xxxx']) {
      expect(ran.join('\n')).not.toContain(id)
    }
  })
})

describe('S23 MCPC-SR L7: words of an error', () => {
  const WORDS = [
    'access token expired: sign in again',
    'Session not found',
    '{"error":"invalid_token","error_description":"The access token expired"}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Unauthorized: login_required"}}',
  ]

  test('that is no 401 changes nothing about the login: nobody is asked, nothing renewed, nothing forgotten', async () => {
    const all = await scene({ hostile: {} })
    const hostile = all.hostile.hostile!
    expect(summary(await all.stranger.useAll())).toEqual({ hostile: 'alice', good: 'alice' })
    const ofTheLogin = () => [
      ...['/register', '/authorize', '/token', '/revoke'].map((path) => hostile.requests.to(path).length),
      all.browsers().length,
    ]
    const before = { acts: ofTheLogin(), stored: all.stored() }
    for (const status of [500, 503, 400, 200]) {
      for (const words of WORDS) {
        hostile.scripts = toTheSignedIn(({ method }) =>
          method === 'POST'
            ? { status, headers: { 'content-type': 'application/json' }, body: words }
            : undefined,
        )
        // An open session, and a program that only begins.
        const { hostile: outcome, good } = summary(await all.stranger.useAll())
        expect([status, words, good]).toEqual([status, words, 'alice'])
        // What the SDK makes of a body that is no answer has no code: errors of MCP are passed on as they are.
        expect(['alice', 'login_required', 'credential_refused']).not.toContain(outcome)
        if (status !== 200) expect([status, words, outcome]).not.toEqual([status, words, 'none'])
        expect([status, words, ofTheLogin()]).toEqual([status, words, before.acts])
      }
      const { code, stdout } = await all.command(
        'call',
        'hostile',
        'whoami',
        '--json',
        '--interactive',
        'always',
      )
      expect([status, code]).toEqual([status, 1])
      expect(JSON.parse(stdout).error.code).toMatch(/^[a-z_]+$/)
    }
    expect({ acts: ofTheLogin(), stored: all.stored() }).toEqual(before)
    hostile.scripts = {}
    expect(summary(await all.stranger.useAll())).toEqual({ hostile: 'alice', good: 'alice' })
    expect(ofTheLogin()).toEqual(before.acts)
  })
})

describe('S23 MCPC-SR L13: a line end in a value', () => {
  test('of the configuration is refused before anything is sent; other servers work', async () => {
    const configured = (config: HostileServer['config']): HostileServer => ({ config: config! })
    const all = await scene({
      'a header': configured({ headers: { 'X-Own': INJECTED } }),
      'a lone line feed': configured({ headers: { 'X-Own': 'a\nX-Injected: yes' } }),
      'a lone carriage return': configured({ headers: { 'X-Own': 'a\rX-Injected: yes' } }),
      'the name of a header': configured({ headers: { [`X-Own: ${INJECTED}`]: 'a' } }),
      'a bearer token': configured({ auth: INJECTED }),
      'an account': configured({ auth: { account: INJECTED } }),
      'a client': configured({ auth: { client_id: INJECTED } }),
      'a client secret': configured({ auth: { client_id: 'mine', client_secret: INJECTED } }),
      'a scope': configured({ auth: { scope: INJECTED } }),
    })
    const codes = Object.keys(all.hostile).map((name) => [name, 'config_invalid'])
    expect(summary(await all.stranger.useAll())).toEqual({ ...Object.fromEntries(codes), good: 'alice' })
    for (const { requests } of Object.values(all.hostile)) expect(requests.lines()).toEqual([])
    const { code, stdout } = await all.command('call', 'a header', 'whoami', '--json')
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, 'config_invalid'])
    expect((await all.command('call', 'good', 'whoami')).stdout).toBe('alice\n')
  })

  test('of a server becomes no header of ours, at it or anywhere; other servers work', async () => {
    const withMembers =
      (members: Record<string, unknown>): Script =>
      (_request, answer) => ({ ...answer, body: { ...(answer.body as object), ...members } })
    const unauthorized =
      (challenge: string): Script =>
      (_request, answer) =>
        answer.status === 401 ? raw('401 Unauthorized', `www-authenticate: ${challenge}`) : undefined
    const moving = (location: (origin: string) => string): HostileServer => ({
      arrange: (server) => {
        server.scripts.mcp = ({ path }) =>
          path === '/mcp' ? raw('307 Temporary Redirect', `location: ${location(server.origin)}`) : undefined
      },
    })
    const all = await scene({
      'an access token': scripted({ token: withMembers({ access_token: INJECTED }) }),
      'a type of token': scripted({ token: withMembers({ token_type: `Bearer ${INJECTED}` }) }),
      'a client id': scripted({ registration: withMembers({ client_id: INJECTED }) }),
      'a client secret': scripted({
        registration: withMembers({
          client_secret: INJECTED,
          token_endpoint_auth_method: 'client_secret_basic',
        }),
      }),
      'a challenge, carriage return': scripted({ mcp: unauthorized('Bearer scope="a\rX-Injected: yes"') }),
      'a challenge, folded line': scripted({ mcp: unauthorized('Bearer scope="a\r\n X-Injected: yes"') }),
      'a challenge, escaped': scripted({ mcp: unauthorized('Bearer scope="a\\r\\nX-Injected: yes"') }),
      'a redirect, encoded': moving((origin) => `${origin}/mcp?x=%0d%0aX-Injected:%20yes`),
      'a redirect, carriage return': moving((origin) => `${origin}/mcp?x=\rX-Injected: yes`),
      'a redirect, folded line': moving((origin) => `${origin}/mcp?x=\r\n X-Injected: yes`),
    })
    const outcomes = summary(await all.stranger.useAll())
    expect(outcomes.good).toBe('alice')
    for (const [name, outcome] of Object.entries(outcomes)) {
      expect([name, outcome]).toEqual([name, expect.stringMatching(/^(alice|[a-z]+(_[a-z]+)+)$/)])
    }
    expect(outcomes).toMatchObject({ 'an access token': 'response_invalid' })
    expect(injections(all)).toEqual([])
    expect((await all.command('call', 'good', 'whoami')).stdout).toBe('alice\n')
  })
})
