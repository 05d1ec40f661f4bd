import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createHome, type Finished, finished, type Home } from './fixtures/built-command.ts'
import { EXAMPLES, type ExampleServers } from './fixtures/example-servers.ts'
import { parameters } from './fixtures/request-log.ts'
import { storedLogins } from './fixtures/stored-logins.ts'
import { WATCHED } from './fixtures/watched.ts'

// Every program of examples/, as it stands there, as a process of its own against real servers.

const root = fileURLToPath(new URL('..', import.meta.url))
const listenLog = new URL('./fixtures/listen-log.mjs', import.meta.url).href
const names = Object.keys(EXAMPLES)
let folder: string
beforeAll(async () => {
  await mkdir(join(root, 'node_modules/.cache'), { recursive: true })
  folder = await mkdtemp(join(root, 'node_modules/.cache/examples-'))
  await build({
    entryPoints: names.map((name) => join(root, 'examples', `${name}.ts`)),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    alias: { latchkey: join(root, 'src/node.ts') },
    external: ['ipaddr.js', 'oauth4webapi', 'jsonc-parser', '@modelcontextprotocol/*', 'undici/*'],
    logLevel: 'warning',
  })
})
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

let home: Home
let servers: ExampleServers
const listenFile = () => join(home.path, 'listen.log')
afterEach(async () => {
  await servers.close()
  await rm(home.path, { recursive: true, force: true, maxRetries: 5 })
})

async function start(name: string): Promise<void> {
  home = await createHome()
  servers = await EXAMPLES[name]!(home.path)
}

function run(name: string): Promise<Finished> {
  const env = {
    ...home.env,
    ...servers.env,
    LATCHKEY_HOME: join(home.path, 'store'),
    NODE_OPTIONS: `${WATCHED.NODE_OPTIONS} --import=${listenLog}`,
    LISTEN_LOG: listenFile(),
  }
  return finished(spawn(process.execPath, [join(folder, `${name}.mjs`)], { env, cwd: home.path }))
}

const tokenRequests = () => servers.authorizationServer.requests.to('/token', 'POST').map(parameters)

test('the table of examples/README.md and the servers here know every program that is there', async () => {
  await start('mcp-client')
  const there = (await readdir(join(root, 'examples'))).filter((file) => file.endsWith('.ts'))
  const page = await readFile(join(root, 'examples/README.md'), 'utf8')
  const inTable = [...page.matchAll(/^\| \[([\w-]+\.ts)\]/gm)].map(([, file]) => file)
  expect(inTable.sort()).toEqual(there.sort())
  expect(names.map((name) => `${name}.ts`).sort()).toEqual(there.sort())
})

describe('examples with a person', () => {
  test.each([
    ['mcp-client', '[{"type":"text","text":"alice"}]\n'],
    ['dpop', '[{"type":"text","text":"alice"}]\n'],
    ['authorized-fetch', 'The server answered with 200\n'],
  ])('%s signs in through the browser once, and not in the second run', async (name, said) => {
    await start(name)
    expect(await run(name)).toMatchObject({ code: 0, stdout: said })
    // The log of bound ports works: a sign-in binds one.
    expect(existsSync(listenFile())).toBe(true)
    expect(existsSync(home.browserLog)).toBe(true)
    await Promise.all([rm(listenFile()), rm(home.browserLog)])
    servers.authorizationServer.requests.clear()
    expect(await run(name)).toMatchObject({ code: 0, stdout: said })
    expect(servers.authorizationServer.requests.lines()).toEqual([])
    expect(existsSync(listenFile()) || existsSync(home.browserLog)).toBe(false)
  })

  test('dpop: the tokens are bound to a key', async () => {
    await start('dpop')
    expect(await run('dpop')).toMatchObject({ code: 0 })
    const [login] = await storedLogins(join(home.path, 'store'))
    expect(login?.record.token_type).toBe('dpop')
    expect(servers.server.requests.at(-1)?.headers).toMatchObject({
      authorization: `DPoP ${login?.record.access_token}`,
      dpop: expect.stringContaining('.'),
    })
  })
})

describe('examples without a person', () => {
  const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

  test.each([
    ['client-credentials', { grant_type: 'client_credentials' }, 'program'],
    [
      'private-key-jwt',
      { grant_type: 'client_credentials', client_assertion: expect.stringContaining('.') },
      'program',
    ],
    ['workload-identity', { grant_type: JWT_BEARER, assertion: expect.stringContaining('.') }, 'workload'],
    ['id-jag', { grant_type: JWT_BEARER, assertion: expect.stringContaining('.') }, 'agent'],
  ])('%s asks for one token, opens no browser and binds no port', async (name, request, caller) => {
    await start(name)
    const { code, stdout, stderr } = await run(name)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`"hello from an? ${caller}"`))
    expect(tokenRequests()).toEqual([expect.objectContaining({ ...request, resource: servers.server.url })])
    expect(servers.identityProvider?.requests.to('/token', 'POST').length ?? 1).toBe(1)
    expect(servers.authorizationServer.requests.to('/auth')).toEqual([])
    expect(existsSync(home.browserLog)).toBe(false)
    expect(existsSync(listenFile())).toBe(false)
    // The token is kept: the second run asks for none.
    expect(await run(name)).toMatchObject({ code: 0 })
    expect(tokenRequests()).toHaveLength(1)
  })
})
