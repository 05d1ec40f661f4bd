/** The world of one scenario: `unshare -rnm node network-namespace-child.mjs PLAY`, see `fixtures/network-namespace.ts`. */
import { execFileSync } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { countConnections } from './fixtures/connection-counter.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startNameServer } from './fixtures/name-server.ts'
import type { Play, Seen } from './fixtures/network-namespace.ts'
import { privateCertificate } from './fixtures/private-ca.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { browserStarts, storedFiles } from './fixtures/traces.ts'
import { type Outcomes, startStranger } from './stranger-program.ts'

/** Nothing that a public server names may be reached here: this machine, its networks, and what leads to them. */
const NEAR = [
  ...['127.0.0.1', '::1', '10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', '169.254.169.254'],
  ...['fd00::1', '64:ff9b::a00:1', '64:ff9b::a9fe:a9fe', '2002:a00:1::1'],
]
const PORTS = [80, 443, 8443]

const play: Play = JSON.parse(readFileSync(process.argv[2]!, 'utf8'))
const hosts = Object.entries(play.hosts).map(([name, script], index) => ({
  name,
  script,
  address: script.address ?? `93.184.216.${34 + index}`,
}))

function setUpNetwork(): void {
  const ip = (...args: string[]) => execFileSync('ip', args)
  ip('link', 'set', 'lo', 'up')
  const present = ['127.0.0.1', '::1']
  for (const address of new Set([...NEAR, ...hosts.map((host) => host.address)])) {
    if (present.includes(address)) continue
    if (isIPv6(address)) ip('-6', 'addr', 'add', `${address}/128`, 'dev', 'lo', 'nodad')
    else ip('addr', 'add', `${address}/32`, 'dev', 'lo')
  }
  const replace = (path: string, text: string) => {
    const file = join(play.folder, path.replaceAll('/', '_'))
    writeFileSync(file, text)
    execFileSync('mount', ['--bind', file, path])
  }
  replace('/etc/resolv.conf', 'nameserver 127.0.0.1\n')
  replace('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n')
  replace('/etc/nsswitch.conf', 'hosts: files dns\n')
}

type Server = ScriptedAuthorizationServer | McpServerFixture

let round = 0

async function start({ name, script, address }: (typeof hosts)[number]): Promise<Server> {
  const at = { origin: `https://${name}`, address, tls: certificate }
  const metadata = script.resourceMetadata ?? {}
  const issuer = script.tokensOf && (servers.get(script.tokensOf) as ScriptedAuthorizationServer)
  const server = issuer
    ? await startProtectedServer(issuer, { at, protection: { metadata } })
    : await startScriptedAuthorizationServer({ at, mcp: { metadata } })
  if ('scripts' in server) {
    server.scripts.metadata = () => ({
      // Whoever comes again has to ask for the address again.
      headers: { connection: 'close' },
      body: { ...server.metadata(), ...script.metadata },
    })
  }
  server.intercept = ({ pathname }) =>
    (round > 1 ? script.later?.[pathname] : undefined) ?? script.answers?.[pathname]
  return server
}

setUpNetwork()
const certificate = privateCertificate(play.folder, [
  ...hosts.flatMap(({ name, address }) => [name, address]),
  ...Object.keys(play.names ?? {}),
])
const own = Object.fromEntries(hosts.map(({ name, address }) => [name, [[address]]]))
const nameServer = await startNameServer({ ...own, ...play.names })
const servers = new Map<string, Server>()
for (const host of hosts.toSorted(
  (one, other) => Number(!!one.script.tokensOf) - Number(!!other.script.tokensOf),
)) {
  servers.set(host.name, await start(host))
}
const taken = hosts.map(({ address }) => address)
const near = await countConnections(
  NEAR.filter((address) => !taken.includes(address)),
  PORTS,
)
// Of a public server too, what is not behind TLS.
const plain = await countConnections(taken, [80])

const home = join(play.folder, 'home')
const browserLog = join(play.folder, 'browser.log')
mkdirSync(home)
const stranger = startStranger(
  play.stranger,
  { mcpServers: play.servers },
  {
    HOME: home,
    PATH: process.env.PATH,
    BROWSER: play.browser,
    CONSENT_BROWSER_LOG: browserLog,
    NODE_EXTRA_CA_CERTS: certificate.authorityFile,
    ...play.env,
  },
)
const outcomes: Outcomes[] = []
while (outcomes.length < (play.rounds ?? 1)) {
  round = outcomes.length + 1
  outcomes.push(await stranger.useAll())
}
await stranger.end()

const connections = { ...near.connections(), ...plain.connections() }
const asked = [...nameServer.asked]
const resolved = Object.keys(play.names ?? {}).map(async (name) => {
  const found = await lookup(name, { all: true }).catch(() => [])
  return [name, found.map(({ address }) => address)] as const
})
const seen: Seen = {
  outcomes,
  connections,
  requests: Object.fromEntries(
    [...servers].map(([name, server]) => [
      name,
      server.requests.map(({ method, path, headers, body }) => ({ method, path, headers, body })),
    ]),
  ),
  browsers: browserStarts(browserLog),
  stored: storedFiles(join(home, '.mcp_use')),
  asked,
  control: {
    deaf: [...(await near.deaf()), ...(await plain.deaf())],
    resolved: Object.fromEntries(await Promise.all(resolved)),
  },
}
writeFileSync(join(play.folder, 'seen.json'), JSON.stringify(seen))
await Promise.all([
  ...[...servers.values()].map((server) => server.close()),
  near.close(),
  plain.close(),
  nameServer.close(),
])
