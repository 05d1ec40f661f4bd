import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { commandAt, createHome, type Home } from '../fixtures/built-command.ts'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileBodyKind, hostileBody } from '../fixtures/hostile-body.ts'
import { type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import type { Answer } from '../fixtures/loopback-server.ts'
import { packedPackage } from '../fixtures/packed-package.ts'
import {
  type Endpoint,
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from '../fixtures/scripted-authorization-server.ts'
import type { Ending } from '../robustness-child.ts'
import { type BundledProgram, buildProgram } from '../session-program.ts'
import { summary } from '../stranger-program.ts'

// Bodies that want to fill the memory or hold up the program, and values that no clock can show: one process meets all of
// them at once, each ends in an error of its own, and the good server beside them works.

let bin = ''
let program: BundledProgram
const opened: { home: Home; servers: ScriptedAuthorizationServer[] }[] = []

beforeAll(async () => {
  const packed = await packedPackage()
  bin = packed.bin
  program = await buildProgram('robustness-child', packed.project)
}, 120_000)
afterAll(() => program.remove())
afterEach(async () => {
  for (const { home, servers } of opened.splice(0)) {
    await Promise.all(servers.map((server) => server.close()))
    rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
  }
})

type Scripts = ScriptedAuthorizationServer['scripts']

/** One process with a server for each of these, and a good one. */
async function useAll(scripts: Record<string, Scripts>): Promise<Record<string, Ending>> {
  const home = await createHome()
  const names = [...Object.keys(scripts), 'good']
  const servers = await Promise.all(names.map(() => startScriptedAuthorizationServer({ mcp: {} })))
  opened.push({ home, servers })
  servers.forEach((server, n) => {
    server.scripts = scripts[names[n]!] ?? {}
  })
  const argument = Object.fromEntries(servers.map(({ url }, n) => [names[n]!, { url }]))
  const argv = [program.file, JSON.stringify(argument)]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, {
    env: home.env,
    cwd: home.path,
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const ALICE = { said: 'alice', expires_at: expect.any(Number), logout: 'revoked' }

/** The largest document is 1 MB; more than that is only what sockets and pipes hold. */
const MOST = 12 * 1_048_576

const READ: Endpoint[] = ['metadata', 'resource-metadata', 'registration', 'token']

describe.each<[HostileBodyKind, string]>([
  ['large', 'response_invalid'],
  ['endless', 'response_invalid'],
  ['bomb', 'response_invalid'],
  ['deep', 'response_invalid'],
  ['deep-list', 'response_invalid'],
  ['slow', 'network_failed'],
])('S25: a body that is %s', (kind, code) => {
  test('ends in an error wherever it is read, is not read to its end, and stands in nobody’s way', async () => {
    const bodies = new Map([...READ, 'revocation', 'mcp'].map((endpoint) => [endpoint, hostileBody(kind)]))
    const scripts: Record<string, Scripts> = {
      // The 401 says all that is needed in its head.
      mcp: {
        mcp: (_request, answer) => (answer.status === 401 ? bodies.get('mcp')!.answer(answer) : undefined),
      },
      revocation: { revocation: () => bodies.get('revocation')!.answer({ status: 200 }) },
    }
    for (const endpoint of READ) {
      scripts[endpoint] = { [endpoint]: () => bodies.get(endpoint)!.answer({ status: 200 }) }
    }
    const endings = await useAll(scripts)
    expect(endings).toEqual({
      ...Object.fromEntries(READ.map((endpoint) => [endpoint, { code }])),
      mcp: ALICE,
      revocation: { ...ALICE, logout: expect.stringMatching(/^(revoked|failed)$/) },
      good: ALICE,
    })
    for (const [endpoint, { written }] of bodies) {
      expect(written, endpoint).toBeGreaterThan(0)
      expect(written, endpoint).toBeLessThan(MOST)
    }
  }, 120_000)
})

describe('S25: values of a token answer', () => {
  const VALUES = [
    '-1',
    '1e400',
    '-1e400',
    '1e308',
    '9007199254740993',
    '"abc"',
    '"1e308"',
    '""',
    'null',
    '[]',
    '{"a":1}',
    'true',
    '0.5',
    '8640000000000',
  ]
  const withLifetime = (text: string): Scripts => ({
    token: (_request, answer) => ({
      ...answer,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...(answer.body as object), expires_in: 'LIFETIME' }).replace(
        '"LIFETIME"',
        text,
      ),
    }),
  })

  test('`expires_in` that no clock can show is as good as none', async () => {
    const endings = await useAll(Object.fromEntries(VALUES.map((text) => [text, withLifetime(text)])))
    for (const text of VALUES) expect(endings[text], text).toMatchObject({ said: 'alice', logout: 'revoked' })
    const shown = Object.values(endings).flatMap((ending) =>
      'said' in ending ? (ending.expires_at ?? []) : [],
    )
    for (const at of shown) expect(() => new Date(at * 1000).toISOString()).not.toThrow()
  }, 120_000)

  test.each(['1e308', '-1', '"abc"', '1e400'])(
    'the command shows a login with `expires_in` %s',
    async (text) => {
      const home = await createHome()
      const server = await startScriptedAuthorizationServer({ mcp: {}, scripts: withLifetime(text) })
      opened.push({ home, servers: [server] })
      const command = commandAt(bin)
      const login = await command.run(['login', server.url, '--interactive', 'always', '--debug'], home)
      expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('not said by the server') })
      const status = await command.run(['status'], home)
      expect(status).toMatchObject({ code: 0, stdout: expect.not.stringContaining('NaN') })
      expect(await command.run(['call', server.url, 'whoami'], home)).toMatchObject({
        code: 0,
        stdout: 'alice\n',
      })
    },
  )
})

describe('S25: challenges', () => {
  const url = (answer: string) => /resource_metadata="([^"]*)"/.exec(answer)![1]!
  /** The real one among things that a careless parser would take for it. */
  const DISGUISES: Record<string, (metadata: string) => string | string[]> = {
    'several schemes in one line': (at) =>
      `Basic realm="x", Negotiate abc==, Bearer resource_metadata="${at}"`,
    'several lines': (at) => [
      'Basic realm="x"',
      `Bearer resource_metadata="${at}"`,
      'Digest nonce="y", qop="auth,auth-int"',
    ],
    'quoted commas': (at) =>
      `Basic realm="a, Bearer resource_metadata=\\"http://127.0.0.1:9/evil\\"", Bearer resource_metadata="${at}"`,
    'a quoted scheme': (at) =>
      `Bearer error_description="x, Bearer resource_metadata=http://127.0.0.1:9/evil", resource_metadata="${at}"`,
    'a parameter twice': (at) =>
      `Bearer resource_metadata="${at}", resource_metadata="http://127.0.0.1:9/evil"`,
    'a parameter twice in another case': (at) =>
      `Bearer RESOURCE_METADATA="${at}", resource_metadata="http://127.0.0.1:9/evil"`,
    'commas without anything': (at) => `,, , Bearer ,,, resource_metadata="${at}",,`,
    'spaces around everything': (at) => `  Bearer   resource_metadata  =  "${at}"  `,
    'a scheme in another case': (at) => `bEARER resource_metadata="${at}"`,
    'no closing quote': (at) => `Bearer resource_metadata="${at}`,
    'a thousand parameters': (at) =>
      `Bearer ${Array.from({ length: 500 }, (_, n) => `p${n}="x"`).join(', ')}, resource_metadata="${at}"`,
  }

  test('in every disguise lead to the metadata that a careful reader sees', async () => {
    const scripts = Object.entries(DISGUISES).map(([title, disguise]): [string, Scripts] => [
      title,
      {
        mcp: (_request, answer) =>
          answer.status === 401
            ? {
                ...answer,
                headers: { 'www-authenticate': disguise(url(String(answer.headers?.['www-authenticate']))) },
              }
            : undefined,
      },
    ])
    const endings = await useAll(Object.fromEntries(scripts))
    expect(endings).toEqual(
      Object.fromEntries([...Object.keys(DISGUISES), 'good'].map((name) => [name, ALICE])),
    )
    for (const { servers } of opened)
      for (const { requests } of servers) expect(requests.to('/evil')).toEqual([])
  }, 120_000)
})

describe('S25: a session', () => {
  const scene = scenesNotedIn(closedAfterEach())
  /** Milliseconds for one request. */
  const timeout = 1_500

  /** A server of 2025 that asks for no login; `instead` may answer for it. */
  const of2025 = (
    instead: (asked: string, method: string) => Answer | undefined,
    config: HostileServer['config'] = {},
  ): HostileServer => ({
    config,
    arrange: (server) => {
      server.scripts.mcp = ({ method, body }) => {
        const { id, method: asked = '' } = method === 'POST' ? JSON.parse(body) : {}
        const said = instead(asked, method)
        if (said) return said
        if (method !== 'POST') return { status: 405 }
        if (id === undefined) return { status: 202 }
        const result = {
          initialize: {
            protocolVersion: '2025-06-18',
            capabilities: { tools: {} },
            serverInfo: { name: 'by hand', version: '1' },
          },
          'tools/call': { content: [{ type: 'text', text: 'alice' }] },
        }[asked as string]
        return {
          body: { jsonrpc: '2.0', id, ...(result ? { result } : { error: { code: -32_601, message: '' } }) },
        }
      }
    },
  })
  const noStreamableHttp = (stream: Answer) => (_asked: string, method: string) =>
    method === 'POST' ? { status: 405 } : stream
  const EVENTS = { 'content-type': 'text/event-stream' }

  test('with a server that goes silent while it is connected to ends in an error; the good server is used', async () => {
    const silent: Answer = { stream: (response) => response.write(': still here\n\n'), headers: EVENTS }
    const all = await scene({
      'an event stream without an endpoint': of2025(noStreamableHttp(silent), { timeout }),
      'no event stream': of2025(noStreamableHttp({ hang: true }), { timeout }),
      'no answer to a notification': of2025(
        (asked) => (asked === 'notifications/initialized' ? { hang: true } : undefined),
        { timeout },
      ),
    })
    const failed = Object.keys(all.hostile).map((name) => [name, 'connect_failed'])
    expect(summary(await all.stranger.useAll())).toEqual({ ...Object.fromEntries(failed), good: 'alice' })
  }, 60_000)

  test('with a server whose answers have no end is given up at 64 MB; the good server is used', async () => {
    const bodies = Object.fromEntries(
      (['endless', 'bomb', 'event'] as const).flatMap((kind) =>
        ['server/discover', 'tools/call', 'GET'].map((where) => [`${kind} ${where}`, hostileBody(kind)]),
      ),
    )
    const hostile = Object.entries(bodies).map(([name, body]) => [
      name,
      of2025((asked, method) =>
        name.endsWith(` ${asked || method}`) ? body.answer({ status: 200 }) : undefined,
      ),
    ])
    const all = await scene(Object.fromEntries(hostile))
    const outcomes = summary(await all.stranger.useAll())
    // The event stream of a session is not waited for: it is opened beside the calls, and anew with them.
    const expected = Object.keys(bodies).map((name) => [
      name,
      name.endsWith('GET') ? 'alice' : 'response_invalid',
    ])
    expect(outcomes).toEqual({ ...Object.fromEntries(expected), good: 'alice' })
    for (const [name, { written }] of Object.entries(bodies)) {
      if (name.endsWith('GET')) continue
      expect(written, name).toBeGreaterThan(0)
      expect(written, name).toBeLessThan(64 * 1_048_576 + MOST)
    }
  }, 120_000)
})
