import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { Home } from '../fixtures/built-command.ts'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileScene, type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import { requires } from '../requires.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: what a server names as its endpoints, where clients of other makers handed it to a shell or a browser.

vi.setConfig({ testTimeout: 180_000 })

const opened = closedAfterEach()
const scene = scenesNotedIn(opened)

/** A server whose metadata says something else. */
const saying = (members: Record<string, unknown>): HostileServer => ({
  arrange: (server) => {
    server.scripts.metadata = () => ({ body: { ...server.metadata(), ...members } })
  },
})

const START_URL = /^http:\/\/(localhost|127\.0\.0\.1):\d+\/[\w/-]+$/

/** Nothing but reading went to the hostile servers, one browser was started, for the good one, and only that is stored. */
function assertNothingDone({ hostile, browsers, stored }: HostileScene): void {
  for (const [name, { requests, origin }] of Object.entries(hostile)) {
    const acts = requests.filter(({ method, pathname }) => method !== 'GET' && pathname !== '/mcp')
    expect([name, acts.map(({ pathname }) => pathname), requests.to('/authorize')]).toEqual([name, [], []])
    expect([name, JSON.stringify(stored())]).not.toEqual([
      name,
      expect.stringContaining(new URL(origin).host),
    ])
  }
  expect(browsers()).toEqual([[expect.stringMatching(START_URL)]])
}

/** All inputs in one run of the library, then the command on the first one, and on the good server. */
async function assertRefused(inputs: Record<string, HostileServer>, codes: Record<string, string>) {
  const all = await scene(inputs)
  expect(summary(await all.stranger.useAll())).toEqual({ ...codes, good: 'alice' })
  assertNothingDone(all)
  // The command is a process of its own: the login of the good server serves it as well.
  const [first = ''] = Object.keys(inputs)
  const refused = await all.command('login', first, '--json', '--interactive', 'always')
  expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([1, codes[first]])
  expect((await all.command('call', 'good', 'whoami')).stdout).toContain('alice')
  assertNothingDone(all)
}

test('S1 CVE-2025-6514: an authorization_endpoint that is a command line', async () => {
  const inputs = {
    'mcp-remote': saying({ authorization_endpoint: 'a:$(cmd.exe /c whoami > c:\\temp\\pwned.txt)' }),
    file: saying({ authorization_endpoint: 'file:///c:/windows/system32/calc.exe' }),
  }
  await assertRefused(inputs, { 'mcp-remote': 'url_refused', file: 'url_refused' })
})

test('S3 CVE-2025-58747: endpoints with a scheme that runs something', async () => {
  const schemes = [
    'javascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:msgbox(1)',
    'file:///etc/passwd',
    'ms-msdt:/id PCWDiagnostic',
    'ms-officecmd:{}',
  ]
  const endpoints = [
    'authorization_endpoint',
    'token_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ]
  const named = endpoints.flatMap((endpoint) =>
    schemes.map((url) => [`${endpoint} ${url}`, saying({ [endpoint]: url })] as const),
  )
  const codes = Object.fromEntries(named.map(([name]) => [name, 'url_refused']))
  await assertRefused(Object.fromEntries(named), codes)
})

test('S3 CVE-2025-58747: endpoints that latchkey has no use for are not used', async () => {
  const { stranger, browsers } = await scene({
    device: saying({
      device_authorization_endpoint: 'javascript:alert(1)',
      verification_uri_complete: 'javascript:alert(1)',
      userinfo_endpoint: 'file:///etc/passwd',
      jwks_uri: 'file:///etc/passwd',
      service_documentation: 'vbscript:msgbox(1)',
    }),
  })
  expect(summary(await stranger.useAll())).toEqual({ device: 'alice', good: 'alice' })
  expect(browsers()).toEqual(Array(2).fill([expect.stringMatching(START_URL)]))
})

test('S4 MCP-275: an endpoint that is a flag of some program', async () => {
  const flags = ['--upload-pack=evil-script', '--config=/tmp/evil', '-e', '--']
  const inputs = Object.fromEntries(
    flags.flatMap((flag) => [
      [`authorization ${flag}`, saying({ authorization_endpoint: flag })],
      [`token ${flag}`, saying({ token_endpoint: flag })],
    ]),
  )
  // What is no URL makes the document none.
  const codes = Object.fromEntries(Object.keys(inputs).map((name) => [name, 'discovery_failed']))
  await assertRefused(inputs, codes)
})

const hasStrace = spawnSync('strace', ['-V']).status === 0

requires('strace', hasStrace)('S2 mcpc PR 382: shell characters in an otherwise valid endpoint', () => {
  // As they stand on the request line: what a URL may not hold is percent-encoded by then.
  const queries = [
    ['?x=1&calc', 'x=1&calc='],
    ['?state=abc&calc', 'calc='],
    ['?a=%USERPROFILE%&b=$(calc)&c=`calc`', 'a=%25USERPROFILE%25&b=%24%28calc%29&c=%60calc%60'],
    ['?d=1|calc&e=1^&calc', 'd=1%7Ccalc&e=1%5E&calc='],
    ['?f=1;calc&g=\'"calc&h=1\ncalc', 'f=1%3Bcalc&g=%27%22calc&h=1calc'],
  ] as const

  test('the browser gets a short loopback URL as its one argument, no shell runs, and the endpoint arrives uncut', async () => {
    const inputs = Object.fromEntries(
      queries.map(([query], index) => [
        `input-${index}`,
        {
          arrange: (server) => {
            const authorization_endpoint = `${server.origin}/authorize${query}`
            server.scripts.metadata = () => ({ body: { ...server.metadata(), authorization_endpoint } })
          },
        } satisfies HostileServer,
      ]),
    )
    const traceIn = ({ path }: Home) => join(path, 'trace')
    const all = await scene(inputs, {
      prefix: (home) => [
        'strace',
        '-f',
        '--seccomp-bpf',
        '-s',
        '8192',
        '-e',
        'trace=execve',
        '-o',
        traceIn(home),
      ],
    })
    const names = [...Object.keys(inputs), 'good']
    expect(summary(await all.stranger.useAll())).toEqual(
      Object.fromEntries(names.map((name) => [name, 'alice'])),
    )
    expect(all.browsers()).toEqual(names.map(() => [expect.stringMatching(START_URL)]))
    queries.forEach(([query, arrives], index) => {
      const [asked] = all.hostile[`input-${index}`]!.requests.to('/authorize')
      const names = [...new URL(`http://as.example/${query}`).searchParams.keys()]
      const kept = [...asked!.query].filter(([name]) => names.includes(name) && name !== 'state')
      expect(new URLSearchParams(kept).toString()).toBe(arrives)
      // Only ours: one of the endpoint's own would be a way around it.
      expect(asked!.query.getAll('state')).toEqual([expect.not.stringContaining('abc')])
    })

    await all.stranger.end()
    const ran = [...readFileSync(traceIn(all.home), 'utf8').matchAll(/execve\("([^"]+)", (\[.*?\]), 0x/g)]
    expect(ran.length).toBeGreaterThan(names.length)
    expect([...new Set(ran.map(([, file]) => basename(file!)))].sort()).toEqual([
      'consent-browser.mjs',
      'node',
    ])
    expect(ran.filter(([, , argv]) => /authorize|calc/.test(argv!))).toEqual([])
  })
})
