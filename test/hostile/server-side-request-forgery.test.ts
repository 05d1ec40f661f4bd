import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Addresses } from '../fixtures/name-server.ts'
import {
  buildNetworkNamespace,
  type HostScript,
  hasNetworkNamespaces,
  type NetworkNamespace,
  type Scenario,
  type Seen,
} from '../fixtures/network-namespace.ts'
import { requires } from '../requires.ts'
import { summary } from '../stranger-program.ts'

// Hostile inputs: a public server that names addresses of this machine and of its networks. Played in a network namespace
// where every one of them answers, so that a request or a connection would be seen.

// Dozens of servers in one run.
vi.setConfig({ testTimeout: 180_000 })

/** Names that lead here, as nip.io and its like give them out, in either family of addresses. */
const NAMES = {
  '127.0.0.1.nip.io': [['127.0.0.1']],
  '169-254-169-254.nip.io': [['169.254.169.254']],
  'intranet.example': [['10.0.0.1']],
  'six.example': [['::1']],
  'local-six.example': [['fd00::1']],
  'mapped.example': [['::ffff:10.0.0.1']],
  'translated.example': [['64:ff9b::a9fe:a9fe']],
  'tunnelled.example': [['2002:a00:1::1']],
}

/** Names that lead to a public server as well: of those addresses only that one may be connected to. */
const MIXED = {
  'public-and-private.example': [['93.184.216.34', '10.0.0.1']],
  'private-and-public.example': [['10.0.0.1', '93.184.216.34']],
  'public-and-six.example': [['93.184.216.34', '::1', 'fd00::1']],
}

const NAMED = [...Object.keys(NAMES), ...Object.keys(MIXED)]

/** Addresses as they are. */
const LITERALS = [
  ...['169.254.169.254', '127.0.0.1', '10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', '0.0.0.0'],
  ...['[::1]', '[fd00::1]', '[::ffff:10.0.0.1]', 'localhost'],
]

/** What else a URL parser takes for an address, and what else stands for one. */
const SPELLINGS = [
  // 127.0.0.1, 169.254.169.254 and 10.0.0.1: short, decimal, hexadecimal, octal, with a final dot.
  ...['127.1', '2130706433', '0x7f000001', '0177.0.0.1', '2852039166', '0xa9.0xfe.0xa9.0xfe', '012.0.0.1'],
  ...['10.0.0.1.', 'localhost.', 'LOCALHOST', 'app.localhost'],
  ...['[::]', '[::ffff:169.254.169.254]', '[64:ff9b::a00:1]', '[2002:a00:1::1]'],
  ...['198.18.0.1', '255.255.255.255', '[ff02::1]'],
]

const challenge = (url: string) => ({ 'www-authenticate': `Bearer resource_metadata="${url}"` })

/** A server of its own for every input, and one with nothing wrong, all of them public. */
function scenario(inputs: Readonly<Record<string, HostScript>>, more: Partial<Scenario> = {}): Scenario {
  const hosts: Scenario['hosts'] = { 'good.example': {} }
  const servers: Scenario['servers'] = {}
  Object.entries(inputs).forEach(([name, script], index) => {
    const host = `hostile-${index}.example`
    hosts[host] = script
    servers[name] = { url: `https://${host}/mcp` }
  })
  servers.good = { url: 'https://good.example/mcp' }
  return { hosts, servers, names: { ...NAMES, ...MIXED }, ...more }
}

/** Nobody was where nobody may be, although everybody could be; one browser, for the good server, and nothing else is stored. */
function assertNothingReached(seen: Seen, played: Scenario, browsers = 1): void {
  expect(seen.control.deaf).toEqual([])
  for (const [name, lists] of Object.entries(played.names ?? {})) {
    expect([name, seen.control.resolved[name]?.toSorted()]).toEqual([name, lists.at(-1)!.toSorted()])
  }
  expect(seen.connections).toEqual({})
  expect(seen.requests['good.example']!.length).toBeGreaterThan(0)
  const startUrl = expect.stringMatching(/^http:\/\/localhost:\d+\/[\w/-]+$/)
  expect(seen.browsers).toEqual(Array(browsers).fill([startUrl]))
  const stored = Object.values(seen.stored).join()
  expect(stored).toContain('https://good.example/token')
  expect(stored).not.toContain('hostile-')
}

/**
 * Every input is refused, in one process that signs in to the good server as well.
 *
 * @param mixed the code where a public address is there to be connected to, which has nothing to say about it
 */
async function assertRefused(
  namespace: NetworkNamespace,
  inputs: Readonly<Record<string, HostScript>>,
  mixed = 'url_refused',
): Promise<Seen> {
  const played = scenario(inputs)
  const seen = await namespace.play(played)
  const isMixed = (name: string) => Object.keys(MIXED).some((host) => name.includes(host))
  const codes = Object.keys(inputs).map((name) => [name, isMixed(name) ? mixed : 'url_refused'])
  expect([summary(seen.outcomes[0]!), seen.connections]).toEqual([
    { ...Object.fromEntries(codes), good: 'alice' },
    {},
  ])
  assertNothingReached(seen, played)
  return seen
}

requires('network-namespace', hasNetworkNamespaces)('a public server that names private addresses', () => {
  let namespace: NetworkNamespace
  beforeAll(async () => {
    namespace = await buildNetworkNamespace()
  })
  afterAll(() => namespace.remove())

  const each = (urls: readonly string[], script: (url: string) => HostScript) =>
    Object.fromEntries(urls.map((url) => [url, script(url)]))

  test('S5 CVE-2026-51997: authorization_endpoint on this machine or a private network', async () => {
    const urls = [
      'http://127.0.0.1:8443/authorize',
      'http://169.254.169.254/latest/meta-data/',
      ...[...LITERALS, ...NAMED].map((host) => `https://${host}/authorize`),
    ]
    await assertRefused(
      namespace,
      each(urls, (authorization_endpoint) => ({ metadata: { authorization_endpoint } })),
    )
  })

  test('S6 CVE-2026-51994: resource_metadata of the challenge', async () => {
    const urls = [
      'http://169.254.169.254/latest/meta-data/',
      'http://127.0.0.1:8443/',
      'http://localhost/',
      ...[...LITERALS, ...NAMED].map((host) => `https://${host}/prm`),
    ]
    await assertRefused(
      namespace,
      each(urls, (url) => ({
        answers: { '/mcp': { status: 401, headers: challenge(url) } },
      })),
      'discovery_failed',
    )
  })

  test('S7 CVE-2026-51995: authorization_servers', async () => {
    const urls = [
      'http://169.254.169.254/',
      'http://127.0.0.1:8443',
      'http://localhost',
      ...[...LITERALS, ...SPELLINGS, ...NAMED].map((host) => `https://${host}`),
      'https://intranet.example:8443/tenant',
    ]
    await assertRefused(
      namespace,
      each(urls, (issuer) => ({ resourceMetadata: { authorization_servers: [issuer] } })),
      'issuer_mismatch',
    )
  })

  test('S6 CVE-2026-51994: a document on another public origin gets nothing of the person, and may speak for nobody else', async () => {
    const played = scenario({
      elsewhere: { answers: { '/mcp': { status: 401, headers: challenge('https://good.example/prm') } } },
    })
    played.hosts['good.example'] = {
      answers: {
        '/prm': {
          body: { resource: 'https://good.example/mcp', authorization_servers: ['https://good.example'] },
        },
      },
    }
    played.servers.elsewhere!.headers = { 'X-API-Key': 'canary-of-the-person' }
    const seen = await namespace.play(played)
    expect(summary(seen.outcomes[0]!)).toEqual({ elsewhere: 'resource_mismatch', good: 'alice' })
    expect(JSON.stringify(seen.requests['hostile-0.example'])).toContain('canary')
    expect(JSON.stringify(seen.requests['good.example'])).not.toContain('canary')
    assertNothingReached(seen, played)
  })

  test('S8 F-10: a redirect of whatever is asked for', async () => {
    const targets = [
      'http://169.254.169.254/latest/meta-data/',
      'http://127.0.0.1:8443/',
      'https://10.0.0.1/',
      'https://[::ffff:169.254.169.254]/',
      ...NAMED.map((name) => `https://${name}/`),
    ]
    const asked = {
      'resource metadata': '/.well-known/oauth-protected-resource/mcp',
      'server metadata': '/.well-known/oauth-authorization-server',
    }
    const inputs = Object.entries(asked).flatMap(([what, path]) =>
      targets.map((location, index) => {
        const answer = { status: [301, 302, 303, 307, 308][index % 5]!, headers: { location } }
        return [`${what} ${location}`, { answers: { [path]: answer } }] as const
      }),
    )
    await assertRefused(namespace, Object.fromEntries(inputs), 'discovery_failed')
  })

  test('S8 F-10: DNS rebinding, public when it is judged and private when it is used', async () => {
    const names: Record<string, readonly Addresses[]> = {
      'issuer.example': [['93.184.216.200'], ['169.254.169.254']],
      'half.example': [['93.184.216.201'], ['93.184.216.201', '::ffff:10.0.0.1']],
      'redirect.example': [['93.184.216.202'], ['127.0.0.1']],
    }
    const played = scenario({
      'the issuer': { resourceMetadata: { authorization_servers: ['https://issuer.example'] } },
      'one address of the issuer': { resourceMetadata: { authorization_servers: ['https://half.example'] } },
      'a redirect to itself': {
        answers: { '/mcp': { status: 401, headers: challenge('https://redirect.example/prm') } },
      },
    })
    const again = { connection: 'close', location: 'https://redirect.example/again' }
    const answers = { '/prm': { status: 302, headers: again } }
    for (const [name, [first]] of Object.entries(names)) played.hosts[name] = { address: first![0]!, answers }
    const seen = await namespace.play({ ...played, names })
    const codes = Object.keys(played.servers).map((name) => [name, 'url_refused'])
    expect([summary(seen.outcomes[0]!), seen.connections]).toEqual([
      { ...Object.fromEntries(codes), good: 'alice' },
      {},
    ])
    for (const name of Object.keys(names)) {
      // The first answer was one to go to, and there was a second one.
      expect(seen.requests[name]!.length).toBeGreaterThan(0)
      expect(seen.asked.filter((asked) => asked === name).length).toBeGreaterThan(1)
    }
    assertNothingReached(seen, { ...played, names })
  })

  test('S13 CVE-2026-111769: from https to http on one host', async () => {
    const paths = {
      'resource metadata': '/.well-known/oauth-protected-resource/mcp',
      'server metadata': '/.well-known/oauth-authorization-server',
      registration: '/register',
      'MCP server': '/mcp',
    }
    const played = scenario(
      Object.fromEntries(
        Object.entries(paths).map(([name, path], index) => {
          const headers = { location: `http://hostile-${index}.example${path}` }
          return [name, { answers: { [path]: { status: 307, headers } } }]
        }),
      ),
    )
    for (const server of Object.values(played.servers)) server.headers = { 'X-API-Key': 'canary' }
    const seen = await namespace.play(played)
    expect([summary(seen.outcomes[0]!), seen.connections]).toEqual([
      {
        'resource metadata': 'url_refused',
        'server metadata': 'url_refused',
        registration: 'registration_refused',
        'MCP server': 'connect_failed',
        good: 'alice',
      },
      {},
    ])
    assertNothingReached(seen, played)
  })

  test('S11 metadata credential theft: the sign-in page of somebody else is not shown before the person has said yes', async () => {
    const played = scenario({
      'the page of the good one': { metadata: { authorization_endpoint: 'https://good.example/authorize' } },
      'mcpc PR 382': { metadata: { authorization_endpoint: 'https://evil.example/authorize?x=1&calc' } },
    })
    played.hosts['evil.example'] = {}
    const seen = await namespace.play({ ...played, env: { CONSENT_BROWSER_DECISION: 'deny' } })
    expect(summary(seen.outcomes[0]!)).toEqual({
      'the page of the good one': 'sign_in_cancelled',
      'mcpc PR 382': 'sign_in_cancelled',
      good: 'alice',
    })
    // One sign-in: that of its own server.
    expect(seen.requests['good.example']!.filter(({ path }) => path.startsWith('/authorize'))).toHaveLength(1)
    expect(seen.requests['evil.example']).toEqual([])
    assertNothingReached(seen, played, 3)
  })

  test('control: a server in a private network may name its neighbours, but neither this machine nor what is link-local', async () => {
    const named = {
      neighbour: 'https://10.0.0.2',
      'this machine': 'https://127.0.0.1',
      'this machine by name': 'https://127.0.0.1.nip.io',
      'cloud metadata': 'http://169.254.169.254/',
      'cloud metadata by name': 'https://169-254-169-254.nip.io',
    }
    const hosts: Scenario['hosts'] = { '10.0.0.2': { address: '10.0.0.2' } }
    const servers: Scenario['servers'] = {}
    Object.entries(named).forEach(([name, issuer], index) => {
      const address = `10.0.1.${1 + index}`
      hosts[address] = { address, resourceMetadata: { authorization_servers: [issuer] } }
      servers[name] = { url: `https://${address}/mcp` }
    })
    hosts['10.0.1.1']!.tokensOf = '10.0.0.2'
    const seen = await namespace.play({ hosts, servers, names: NAMES })
    const codes = Object.keys(named).map((name) => [name, 'url_refused'])
    expect([summary(seen.outcomes[0]!), seen.connections]).toEqual([
      { ...Object.fromEntries(codes), neighbour: 'alice' },
      {},
    ])
    expect(seen.requests['10.0.0.2']!.map(({ path }) => path)).toContain('/token')
  })

  test('control: the neighbours of a server that is itself on this machine or a private network are allowed', async () => {
    const hosts: Scenario['hosts'] = {
      // By address and by name.
      '10.0.0.1': { address: '10.0.0.1', tokensOf: '10.0.0.2' },
      '10.0.0.2': { address: '10.0.0.2' },
      'mcp.intranet': { address: '192.168.0.1', tokensOf: 'as.intranet' },
      'as.intranet': { address: '172.16.0.1' },
      'mcp.localhost': { address: '127.0.0.2', tokensOf: 'as.localhost' },
      'as.localhost': { address: '127.0.0.3' },
    }
    const names = ['10.0.0.1', 'mcp.intranet', 'mcp.localhost']
    const servers = Object.fromEntries(names.map((name) => [name, { url: `https://${name}/mcp` }]))
    const seen = await namespace.play({ hosts, servers })
    expect(summary(seen.outcomes[0]!)).toEqual(Object.fromEntries(names.map((name) => [name, 'alice'])))
    for (const issuer of ['10.0.0.2', 'as.intranet', 'as.localhost']) {
      expect(seen.requests[issuer]!.map(({ path }) => path)).toContain('/token')
    }
  })
})
