import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { closedAfterEach } from '../fixtures/closed-after-each.ts'
import { type HostileScene, type HostileServer, scenesNotedIn } from '../fixtures/hostile-scene.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: an authorization server that wants less protection than there has to be.

vi.setConfig({ testTimeout: 180_000 })

const opened = closedAfterEach()
const scene = scenesNotedIn(opened)

const saying = (members: Record<string, unknown>, config?: HostileServer['config']): HostileServer => ({
  arrange: (server) => {
    server.scripts.metadata = () => ({ body: { ...server.metadata(), ...members } })
  },
  ...(config && { config }),
})

/** Nobody was asked, and nothing went anywhere. */
function assertNothingSent({ hostile }: HostileScene, names = Object.keys(hostile)): void {
  for (const name of names) {
    const acts = hostile[name]!.requests.lines().filter((line) => /register|authorize|token/.test(line))
    expect([name, acts]).toEqual([name, []])
  }
}

test('S24 MCPC-SR L5: endpoints without TLS on another machine', async () => {
  const endpoints = [
    'authorization_endpoint',
    'token_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ]
  const inputs = endpoints.map((name) => [name, saying({ [name]: 'http://as.example/token' })] as const)
  const all = await scene(Object.fromEntries(inputs))
  expect(summary(await all.stranger.useAll())).toEqual({
    ...Object.fromEntries(endpoints.map((name) => [name, 'url_refused'])),
    good: 'alice',
  })
  assertNothingSent(all)
  expect(all.browsers()).toHaveLength(1)
  const { code, stdout } = await all.command('login', 'token_endpoint', '--json', '--interactive', 'always')
  expect([code, JSON.parse(stdout).error]).toEqual([
    1,
    expect.objectContaining({ code: 'url_refused', url: 'http://as.example/token' }),
  ])
  expect((await all.command('call', 'good', 'whoami')).stdout).toContain('alice')
})

test('S24 MCPC-SR L5: a stored login whose token endpoint has no TLS is not renewed, and stays', async () => {
  const all = await scene({ moved: {} })
  const { moved } = all.hostile
  expect(summary(await all.stranger.useAll())).toEqual({ moved: 'alice', good: 'alice' })
  const [file = ''] = Object.keys(all.stored()).filter((name) =>
    name.endsWith(`_${new URL(moved!.url).port}.json`),
  )
  const changed = all.stored()[file]!.replaceAll(`${moved!.origin}/token`, 'http://as.example/token')
  expect(changed).toContain('http://as.example/token')
  writeFileSync(join(all.home.path, '.mcp_use', file), changed)
  moved!.expireAccessTokens()
  moved!.requests.clear()
  expect(summary(await all.stranger.useAll())).toEqual({ moved: 'url_refused', good: 'alice' })
  expect(moved!.requests.to('/token')).toEqual([])
  expect(all.stored()[file]).toBe(changed)
  expect(all.browsers()).toHaveLength(2)
})

test('S24 MCPC-SR H5: PKCE that is not announced, or not with S256', async () => {
  const accept = { auth: { missing_pkce_metadata: 'accept' } } as const
  const refused = {
    absent: saying({ code_challenge_methods_supported: undefined }),
    null: saying({ code_challenge_methods_supported: null }),
    plain: saying({ code_challenge_methods_supported: ['plain'] }),
    empty: saying({ code_challenge_methods_supported: [] }),
    'another case': saying({ code_challenge_methods_supported: ['s256'] }),
    'plain, where its absence is accepted': saying({ code_challenge_methods_supported: ['plain'] }, accept),
  }
  const all = await scene({
    ...refused,
    'absent and accepted': saying({ code_challenge_methods_supported: undefined }, accept),
    'both are announced': saying({ code_challenge_methods_supported: ['plain', 'S256'] }),
  })
  expect(summary(await all.stranger.useAll())).toEqual({
    ...Object.fromEntries(Object.keys(refused).map((name) => [name, 'pkce_unsupported'])),
    'absent and accepted': 'alice',
    'both are announced': 'alice',
    good: 'alice',
  })
  assertNothingSent(all, Object.keys(refused))
  for (const name of ['absent and accepted', 'both are announced']) {
    const [asked] = all.hostile[name]!.requests.to('/authorize')
    expect(asked!.query.get('code_challenge_method')).toBe('S256')
  }
  expect(all.browsers()).toHaveLength(3)
  const { code, stdout } = await all.command('login', 'absent', '--json', '--interactive', 'always')
  expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'pkce_unsupported'])
  expect((await all.command('call', 'good', 'whoami')).stdout).toContain('alice')
})
