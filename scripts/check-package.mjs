// Looks at the package as it would be published: publint, are-the-types-wrong, and programs that use its types, with
// the optional MCP SDK and without it.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = `
import { MCPClient, authorizedFetch, basicAuth, login, status, type LatchkeyEvent, type LoginStatus } from 'latchkey'

const client = new MCPClient(
  {
    mcpServers: {
      discovered: { url: 'https://a.example/mcp' },
      registered: { url: 'https://b.example/mcp', auth: { client_id: 'x', callback_port: 8080 } },
      token: { url: 'https://c.example/mcp', auth: process.env.API_KEY },
      custom: { url: 'https://d.example/mcp', auth: basicAuth('user', 'password') },
      program: { command: 'node', args: ['server.js'] },
    },
  },
  { onEvent: (event: LatchkeyEvent) => void event.type, interactive: 'never' },
)
const session = await client.createSession('discovered')
const { content } = await session.callTool('search', { q: 'is:open' })
const fetch: typeof globalThis.fetch = authorizedFetch({ url: 'https://a.example/mcp' })
const known: LoginStatus = await status({ url: 'https://a.example/mcp' })
await login({ url: 'https://a.example/mcp' }, { force: true })
// @ts-expect-error a misspelt key
await login({ url: 'https://a.example/mcp', auth: { clientid: 'x' } })
export { content, fetch, known }
`

/** The stores take the clients of their drivers as they are, and so does whoever has none of them. */
const STORES = `
import { login, type CredentialStore, type StoreName } from 'latchkey'
import { createKeychainStore } from 'latchkey/keychain'
import { createPostgresStore, type PostgresStore } from 'latchkey/postgres'
import { createRedisStore, type StoreKeys } from 'latchkey/redis'
import { type ContractCase, storeContract } from 'latchkey/store-contract'

const keys: StoreKeys = { current: 'k2', keys: { k1: 'old', k2: new Uint8Array(32) } }
const cases: ContractCase[] = storeContract({ create: () => createKeychainStore({ mode: 'auto' }) })
const name: StoreName = 'auto'
await login({ url: 'https://a.example/mcp' }, { store: name })
export { cases, keys, type CredentialStore, type PostgresStore }
`
const DRIVERS = `
import { Pool } from 'pg'
import { createClient, createClientPool } from 'redis'

const pool = new Pool()
export const postgres: PostgresStore = createPostgresStore({ pool, keys, table: 'auth.latchkey' })
await postgres.createTable()
const client = await createClient().connect()
export const redis: CredentialStore = createRedisStore({ client, keys, prefix: 'latchkey:' })
export const pooled: CredentialStore = createRedisStore({ client: createClientPool(), keys })
`

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'latchkey-package-'))
const run = (cwd, file, ...argv) => execFileSync(file, argv, { cwd, stdio: 'inherit' })
try {
  run(root, 'npm', 'pack', '--silent', '--pack-destination', scratch)
  const tarball = join(
    scratch,
    readdirSync(scratch).find((name) => name.endsWith('.tgz')),
  )
  run(root, 'npx', 'publint', 'run', tarball, '--strict')
  // The package is ES modules only; Node 20.19 and later can `require` them.
  run(root, 'npx', 'attw', tarball, '--profile', 'esm-only')
  compile('without-sdk', PROGRAM, tarball)
  compile('with-sdk', PROGRAM, tarball, '@modelcontextprotocol/client@2')
  compile('without-drivers', STORES, tarball)
  compile('with-drivers', STORES + DRIVERS, tarball, 'redis@6', 'pg@8', '@types/pg@8')
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function compile(name, program, ...packages) {
  const project = join(scratch, name)
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }')
  writeFileSync(join(project, 'program.ts'), program)
  const compilerOptions = {
    strict: true,
    module: 'nodenext',
    target: 'es2022',
    types: ['node'],
    noEmit: true,
    // Ours are checked where no other package's are.
    skipLibCheck: name === 'with-drivers',
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
  run(
    project,
    'npm',
    'install',
    '--silent',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '@types/node@20',
    ...packages,
  )
  run(project, process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', '.')
  console.log(`check: a program compiles strictly ${name.replace('-', ' ')}`)
}
