import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { main } from '../src/cli/main.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { createForeignFiles } from '../src/node/foreign-files.ts'
import { nodePlatform } from '../src/node-platform.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, type Home } from './fixtures/built-command.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { refresh, register, signIn } from './fixtures/plain-client.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { storedLogins } from './fixtures/stored-logins.ts'

// `fixtures/foreign-logins` holds what the programs themselves wrote after a sign-in, tokens and ids taken out. Here they
// get those of a sign-in at the test's authorization server, by another client than latchkey. mcp-use for Python is written
// by its documentation.

const fixtures = fileURLToPath(new URL('./fixtures/foreign-logins', import.meta.url))

let command: BuiltCommand
let as: AuthorizationServer
let mcp: McpServerFixture
let home: Home

beforeAll(async () => {
  command = await buildCommand()
  as = await startAuthorizationServer({ offlineAccess: false })
  mcp = await startProtectedServer(as)
})
afterAll(async () => {
  await Promise.all([mcp.close(), as.close()])
  await command.remove()
})
beforeEach(async () => {
  home = await createHome()
  await home.configure({ mcpServers: { demo: { url: mcp.url } } })
  as.requests.clear()
})
afterEach(() => {
  as.intercept = undefined
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

const run = (...args: string[]) => command.run(args, home)
const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const refreshes = () =>
  as.requests.to('/token').filter(({ body }) => body.includes('grant_type=refresh_token'))
const logins = () => storedLogins(join(home.path, '.mcp_use'))
const json = async (...args: string[]) => {
  const { stdout, code, stderr } = await run(...args, '--json')
  return { code, stderr, document: stdout === '' ? undefined : JSON.parse(stdout) }
}

interface Foreign {
  tokens: Record<string, unknown>
  client: Record<string, unknown>
}

/** A login of another program at the test's authorization server. */
async function foreignLogin(
  redirect_uri = 'http://localhost:3334/oauth/callback',
  resource = mcp.url,
): Promise<Foreign> {
  const metadata = await as.metadata()
  const client = (await register(metadata.registration_endpoint, { redirect_uris: [redirect_uri] })).body
  const { token } = await signIn(metadata, { client_id: String(client.client_id), redirect_uri, resource })
  return { tokens: token.body, client }
}

function write(path: string, content: unknown, mode = 0o600): string {
  const file = join(home.path, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2), { mode })
  return file
}

/** What a program wrote, with this login in it. */
function asWritten(program: string, { tokens, client }: Foreign, issuer = as.issuer): Foreign {
  const { access_token, refresh_token } = tokens
  const { client_id, client_secret, redirect_uris } = client
  const stamp = (text: string) => JSON.parse(text.replace('"ISSUER"', JSON.stringify(issuer)))
  const captured = (name: string) => stamp(readFileSync(join(fixtures, program, name), 'utf8'))
  const { id_token: _none, ...written } = captured('tokens.json')
  const end = 'expires_at' in written && { expires_at: Date.now() + 3_600_000 }
  const secret = client_secret !== undefined && { client_secret }
  return {
    tokens: { ...written, ...end, access_token, refresh_token },
    client: { ...captured('client_info.json'), client_id, ...secret, redirect_uris },
  }
}

/** Milliseconds, and the issuer noted beside the tokens and the client, since 0.15 or so. */
function writeMcpRemote(
  login: Foreign,
  {
    version = 'mcp-remote-0.15.1',
    folder = 'mcp-remote-v1',
    base = '.mcp-auth',
    hash = md5(mcp.url),
    issuer = as.issuer,
  } = {},
): string[] {
  const { tokens, client } = asWritten(version, login, issuer)
  return [
    write(join(base, folder, `${hash}_tokens.json`), tokens),
    write(join(base, folder, `${hash}_client_info.json`), client),
  ]
}

/** mcp-use for Python: epoch seconds with a fraction, default modes, nothing else. */
function writePython(
  { tokens, client }: Foreign,
  name: string,
  more: Record<string, unknown> = {},
): string[] {
  const { access_token, refresh_token, scope } = tokens
  const end = Date.now() / 1000 + 3600.25
  const known = { access_token, token_type: 'Bearer', expires_at: end, refresh_token, scope, ...more }
  return [
    write(`.mcp_use/tokens/${name}.json`, known, 0o644),
    write(`.mcp_use/tokens/registrations/${name}_registration.json`, client, 0o644),
  ]
}

function hashCode(text: string): string {
  let hash = 0
  for (const character of text) hash = ((hash << 5) - hash + character.charCodeAt(0)) & 0xffffffff
  return Math.abs(hash).toString(16)
}

/** mcp-use for TypeScript: a folder named by the hash. */
function writeTypescript(login: Foreign, url = mcp.url): string[] {
  const { tokens, client } = asWritten('mcp-use-typescript-1.34.6', login)
  const hash = hashCode(url)
  return ['tokens', 'client_info'].map((kind) =>
    write(
      `.mcp-use/oauth/${hash}/mcp_auth_${hash}_${kind}`,
      JSON.stringify(kind === 'tokens' ? tokens : client),
    ),
  )
}

/** The login works here, without a browser, and the files of the other program are out of its way. */
async function expectTaken(files: string[]): Promise<void> {
  expect(files.map((file) => [existsSync(file), existsSync(`${file}.imported`)])).toEqual(
    files.map(() => [false, true]),
  )
  const { code, stdout } = await run('call', 'demo', 'whoami')
  expect({ code, user: stdout.trim() }).toEqual({ code: 0, user: expect.stringContaining('alice') })
  expect(existsSync(home.browserLog)).toBe(false)
}

const netloc = () => new URL(mcp.url).host
/** JWT access tokens name their issuer; without them nothing does. */
const opaque = { access_token: 'opaque-access-token' }

describe('a login is taken over without a browser', () => {
  test('mcp-remote of today', async () => {
    const files = writeMcpRemote(await foreignLogin())
    const { code, stdout } = await run('import', 'mcp-remote')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^Took over the login for demo\./),
    })
    expect(refreshes()).toHaveLength(1)
    await expectTaken(files)
  })

  test.each(['mcp-remote-0.0.22', 'mcp-remote-0.1.38', 'mcp-remote-0.2.7'])(
    'the folder %s of an older mcp-remote, without times and issuer',
    async (folder) => {
      const files = writeMcpRemote(await foreignLogin(), { version: 'mcp-remote-0.1.38', folder })
      expect((await run('import', 'mcp-remote', 'demo')).code).toBe(0)
      await expectTaken(files)
    },
  )

  test('of several versions of mcp-remote the one that was written last', async () => {
    const old = writeMcpRemote(await foreignLogin(), { folder: 'mcp-remote-0.1.38' })
    const long = new Date(Date.now() - 86_400_000)
    for (const file of old) utimesSync(file, long, long)
    const files = writeMcpRemote(await foreignLogin())
    expect((await run('import', 'mcp-remote')).code).toBe(0)
    expect(old.every((file) => existsSync(file))).toBe(true)
    await expectTaken(files)
  })

  test('MCP_REMOTE_CONFIG_DIR', async () => {
    const files = writeMcpRemote(await foreignLogin(), { base: 'elsewhere' })
    const env = { MCP_REMOTE_CONFIG_DIR: join(home.path, 'elsewhere') }
    const { code } = await command.run(['import', 'mcp-remote'], home, { env })
    expect(code).toBe(0)
    await expectTaken(files)
  })

  test('a server that mcp-remote was given headers and a resource for', async () => {
    const headers = { 'x-b': '2', 'X-A': '1' }
    await home.configure({ mcpServers: { demo: { url: mcp.url, headers, auth: { resource: mcp.url } } } })
    const hash = md5(`${mcp.url}|${mcp.url}|{"X-A":"1","x-b":"2"}`)
    const files = writeMcpRemote(await foreignLogin(), { hash })
    expect((await run('import', 'mcp-remote')).code).toBe(0)
    await expectTaken(files)
  })

  test('mcp-use for Python, which notes no issuer: a JWT names it', async () => {
    const files = writePython(await foreignLogin(), `${netloc()}__mcp`)
    expect((await run('import', 'mcp-use')).code).toBe(0)
    await expectTaken(files)
  })

  test('the older layout of mcp-use, whose file is exactly where ours will be', async () => {
    const files = writePython(await foreignLogin(), netloc().replace(':', '_'))
    const before = await run('login', 'demo', '--interactive', 'always')
    expect(before).toMatchObject({ code: 1, stderr: expect.stringContaining('latchkey import mcp-use') })
    expect((await run('import', 'mcp-use')).code).toBe(0)
    expect(files.map((file) => existsSync(`${file}.imported`))).toEqual([true, true])
    expect(files.map((file) => existsSync(`${file}.importing`))).toEqual([false, false])
    expect(readFileSync(files[0]!, 'utf8')).toContain('latchkey-credentials')
    expect((await run('call', 'demo', 'whoami')).code).toBe(0)
    expect(existsSync(home.browserLog)).toBe(false)
  })

  test('mcp-use for TypeScript', async () => {
    const files = writeTypescript(await foreignLogin('http://127.0.0.1:33418/callback'))
    expect((await run('import', 'mcp-use')).code).toBe(0)
    await expectTaken(files)
  })

  test('one without a refresh token keeps its access token', async () => {
    const login = await foreignLogin()
    const files = writeMcpRemote({ ...login, tokens: { ...login.tokens, refresh_token: undefined } })
    expect((await run('import', 'mcp-remote')).code).toBe(0)
    expect(refreshes()).toHaveLength(0)
    await expectTaken(files)
  })

  test('a registration whose redirect URI can be used here is kept for the next sign-in', async () => {
    writePython(await foreignLogin('http://localhost:48080/callback'), `${netloc()}__mcp`)
    expect((await run('import', 'mcp-use')).code).toBe(0)
    await run('logout', 'demo')
    as.requests.clear()
    expect((await run('login', 'demo', '--interactive', 'always')).code).toBe(0)
    expect(as.requests.to('/reg')).toHaveLength(0)
  })

  test('for an account of its own', async () => {
    writeMcpRemote(await foreignLogin())
    expect((await run('import', 'mcp-remote', 'demo', '--account', 'work')).code).toBe(0)
    expect((await logins()).map(({ key }) => key.account)).toEqual(['work'])
  })
})

describe('nothing is lost and nothing is taken twice', () => {
  test('a second import finds nothing to do and sends nothing', async () => {
    writeMcpRemote(await foreignLogin())
    await run('import', 'mcp-remote')
    as.requests.clear()
    const { code, document } = await json('import', 'mcp-remote')
    expect({ code, outcome: document.servers[0].outcome }).toEqual({ code: 0, outcome: 'none' })
    expect(as.requests.lines()).toEqual([])
  })

  test('--dry-run names the files and changes and sends nothing', async () => {
    const files = writeMcpRemote(await foreignLogin())
    as.requests.clear()
    const { code, document } = await json('import', 'mcp-remote', '--dry-run')
    expect(code).toBe(0)
    expect(document).toMatchObject({
      dry_run: true,
      servers: [{ server: 'demo', outcome: 'found', renewable: true, files }],
    })
    expect(as.requests.lines()).toEqual([])
    expect(await logins()).toEqual([])
    expect(files.every((file) => existsSync(file))).toBe(true)
  })

  test('a login of latchkey stays, unless --force', async () => {
    await run('login', 'demo', '--interactive', 'always')
    const [before] = await logins()
    const files = writeMcpRemote(await foreignLogin())
    expect((await run('import', 'mcp-remote')).stdout).toContain('There is a login for demo already')
    expect((await logins())[0]?.revision).toBe(before?.revision)
    expect(files.every((file) => existsSync(file))).toBe(true)
    expect((await run('import', 'mcp-remote', '--force')).code).toBe(0)
    expect((await logins())[0]?.record.client_id).not.toBe(before?.record.client_id)
  })

  test('killed after the login was stored: the next import moves the files away', async () => {
    const files = writeMcpRemote(await foreignLogin())
    await run('import', 'mcp-remote')
    for (const file of files)
      write(file.slice(home.path.length + 1), readFileSync(`${file}.imported`, 'utf8'))
    as.requests.clear()
    const { document } = await json('import', 'mcp-remote')
    expect(document.servers[0].outcome).toBe('resumed')
    expect(files.some((file) => existsSync(file))).toBe(false)
    expect(refreshes()).toHaveLength(0)
  })

  test('killed while the file in our place had stepped aside: the next import takes it from there', async () => {
    const [tokens = '', client = ''] = writePython(await foreignLogin(), `${netloc().replace(':', '_')}`)
    for (const file of [tokens, client]) {
      write(`${file.slice(home.path.length + 1)}.importing`, readFileSync(file, 'utf8'))
      rmSync(file)
    }
    expect((await run('import', 'mcp-use')).code).toBe(0)
    expect((await run('call', 'demo', 'whoami')).code).toBe(0)
    expect(existsSync(`${tokens}.imported`) && existsSync(`${client}.imported`)).toBe(true)
    expect(existsSync(`${tokens}.importing`)).toBe(false)
  })

  test('an authorization server that is down leaves the files and stores nothing', async () => {
    const files = writePython(await foreignLogin(), netloc().replace(':', '_'))
    const texts = files.map((file) => readFileSync(file, 'utf8'))
    as.intercept = (request) => (request.pathname === '/token' ? { status: 503, body: '' } : undefined)
    const { code } = await run('import', 'mcp-use')
    expect(code).toBe(3)
    expect(await logins()).toEqual([])
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(texts)
  })

  test('a refresh token that was used elsewhere is refused, and the files stay', async () => {
    const login = await foreignLogin()
    await refresh(await as.metadata(), String(login.client.client_id), login.tokens.refresh_token, mcp.url)
    const files = writeMcpRemote(login)
    expect((await run('import', 'mcp-remote')).code).toBe(5)
    expect(files.every((file) => existsSync(file))).toBe(true)
    expect(await logins()).toEqual([])
  })
})

describe('a refresh token goes only where it is from', () => {
  test('another issuer than the files name is refused, also with --yes', async () => {
    const other = await startAuthorizationServer()
    try {
      const files = writeMcpRemote(await foreignLogin(), { issuer: other.issuer })
      const { code, stderr } = await run('import', 'mcp-remote', '--yes')
      expect(code).toBe(1)
      expect(stderr).toContain('(issuer_mismatch)')
      expect(refreshes()).toHaveLength(0)
      expect(files.every((file) => existsSync(file))).toBe(true)
    } finally {
      await other.close()
    }
  })

  test('a token that says it is from elsewhere counts as the issuer as well', async () => {
    const evil = await startAuthorizationServer()
    const hostile = await startProtectedServer(evil)
    try {
      await home.configure({ mcpServers: { demo: { url: hostile.url } } })
      writePython(await foreignLogin(), `${new URL(hostile.url).host}__mcp`)
      const { code, stderr } = await run('import', 'mcp-use', '--yes')
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('(issuer_mismatch)') })
      expect(evil.requests.to('/token')).toHaveLength(0)
    } finally {
      await Promise.all([evil.close(), hostile.close()])
    }
  })

  test('the configured issuer counts whatever the server names, also with --yes; at that issuer nobody is asked', async () => {
    const evil = await startAuthorizationServer()
    const hostile = await startProtectedServer(evil)
    try {
      const login = await foreignLogin()
      const auth = { client_id: String(login.client.client_id), issuer: as.issuer }
      await home.configure({ mcpServers: { demo: { url: hostile.url, auth } } })
      writePython(login, `${new URL(hostile.url).host}__mcp`, opaque)
      const { code, stderr } = await run('import', 'mcp-use', '--yes')
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('(issuer_mismatch)') })
      expect(evil.requests.to('/token')).toHaveLength(0)
      await home.configure({ mcpServers: { demo: { url: mcp.url, auth } } })
      writePython(login, `${netloc()}__mcp`, opaque)
      expect((await run('import', 'mcp-use')).code).toBe(0)
    } finally {
      await Promise.all([evil.close(), hostile.close()])
    }
  })

  test('an ID token names the issuer as well', async () => {
    const claims = Buffer.from(JSON.stringify({ iss: 'https://elsewhere.example.com' })).toString('base64url')
    writePython(await foreignLogin(), `${netloc()}__mcp`, { ...opaque, id_token: `e30.${claims}.c2ln` })
    const { stderr } = await run('import', 'mcp-use', '--yes')
    expect(stderr).toContain('(issuer_mismatch)')
    expect(refreshes()).toHaveLength(0)
  })

  test('where nothing names the issuer and nobody can be asked, nothing is sent without --yes', async () => {
    const files = writePython(await foreignLogin(), `${netloc()}__mcp`, opaque)
    const { code, stderr } = await run('import', 'mcp-use')
    expect(code).toBe(2)
    expect(stderr).toContain(new URL(as.issuer).host)
    expect(stderr).toContain('--yes')
    expect(refreshes()).toHaveLength(0)
    expect((await run('import', 'mcp-use', '--yes')).code).toBe(0)
    await expectTaken(files)
  })
})

describe('a person at a terminal is asked, with the host', () => {
  /** The command in this process, at a terminal where somebody types. */
  async function asked(answer: string): Promise<{ code: number; said: string }> {
    let said = ''
    const write = (text: string) => {
      said += text
    }
    const terminal = { write, isTerminal: true }
    const storeHome = join(home.path, '.mcp_use')
    const text = JSON.stringify({ mcpServers: { demo: { url: mcp.url } } })
    const file = {
      path: 'mcp.json',
      text,
      trusted: true,
      versionControlled: false,
      folder: home.path,
      startsIn: undefined,
    }
    const unused = () => {
      throw new Error('not asked for here')
    }
    const code = await main(
      ['import', 'mcp-use'],
      {
        stdout: terminal,
        stderr: terminal,
        stdin: { isTerminal: true, readAll: unused, readLine: async () => answer },
        env: {},
        signal: new AbortController().signal,
        passSignals: unused,
      },
      {
        platform: { ...nodePlatform, createStore: (emit) => createFileStore({ home: storeHome, emit }) },
        configFiles: async () => ({ files: [file], untrusted: undefined, userFile: 'mcp.json' }),
        foreignFiles: () => createForeignFiles({ env: {}, homedir: home.path, platform: process.platform }),
        md5,
        trustedFiles: unused,
        startProgram: unused,
      },
    )
    return { code, said }
  }

  test('yes', async () => {
    const files = writePython(await foreignLogin(), `${netloc()}__mcp`, opaque)
    const { code, said } = await asked('y')
    expect(said).toContain(`demo says that you sign in at ${new URL(as.issuer).host}.`)
    expect(code).toBe(0)
    await expectTaken(files)
  })

  test.each(['', 'n', 'yes please'])('%j is no', async (answer) => {
    const files = writePython(await foreignLogin(), `${netloc()}__mcp`, opaque)
    expect((await asked(answer)).code).toBe(130)
    expect(refreshes()).toHaveLength(0)
    expect(files.every((file) => existsSync(file))).toBe(true)
    expect(await logins()).toEqual([])
  })
})

describe('what cannot be told or trusted is left alone', () => {
  test('two URLs with one hash of mcp-use: neither gets the login', async () => {
    // "Aa" and "BB" have the same hash, and so has whatever they stand in.
    const [one, two] = ['Aa', 'BB'].map((path) => `${mcp.origin}/${path}`)
    expect(hashCode(one!)).toBe(hashCode(two!))
    await home.configure({ mcpServers: { one: { url: one }, two: { url: two } } })
    const files = writeTypescript(await foreignLogin(), one)
    const { code, stderr } = await run('import', 'mcp-use', '--yes')
    expect(code).toBe(2)
    expect(stderr).toContain(one)
    expect(stderr).toContain(two)
    expect(refreshes()).toHaveLength(0)
    expect(files.every((file) => existsSync(file))).toBe(true)
  })

  test('two accounts at one URL: which one it is has to be said', async () => {
    const at = (account: string) => ({ url: mcp.url, auth: { account } })
    await home.configure({ mcpServers: { work: at('work'), home: at('home') } })
    writeMcpRemote(await foreignLogin())
    expect((await run('import', 'mcp-remote')).code).toBe(2)
    expect((await run('import', 'mcp-remote', 'work')).code).toBe(0)
    expect((await logins()).map(({ key }) => key.account)).toEqual(['work'])
  })

  test('the login of another client than the configured one', async () => {
    await home.configure({ mcpServers: { demo: { url: mcp.url, auth: { client_id: 'another' } } } })
    writeMcpRemote(await foreignLogin())
    expect(await run('import', 'mcp-remote')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('another client'),
    })
    expect(refreshes()).toHaveLength(0)
  })

  test.each<[string, (file: string) => void]>([
    ['half a file', (file) => writeFileSync(file, '{"access_token": "a')],
    ['a list', (file) => writeFileSync(file, '[]')],
    ['no token', (file) => writeFileSync(file, '{"token_type": "Bearer"}')],
    ['more than a login can be', (file) => writeFileSync(file, ' '.repeat(1024 * 1024 + 1))],
    [
      'a symbolic link',
      (file) => {
        writeFileSync(`${file}.real`, readFileSync(file))
        rmSync(file)
        symlinkSync(`${file}.real`, file)
      },
    ],
    [
      'a link to its folder',
      (file) => {
        const folder = dirname(file)
        mkdirSync(`${folder}-real`)
        rmSync(folder, { recursive: true })
        symlinkSync(`${folder}-real`, folder)
        writeFileSync(file, '{"access_token":"a"}')
      },
    ],
  ])('%s is reported and left as it is', async (_, spoil) => {
    // mcp-remote lists its folders, and a link is none: only mcp-use can be led through one.
    const [tokens = ''] = writeTypescript(await foreignLogin())
    spoil(tokens)
    const { code, stderr } = await run('import', 'mcp-use')
    expect(code).toBe(1)
    expect(stderr).toContain('(store_failed)')
    expect(existsSync(tokens)).toBe(true)
    expect(as.requests.to('/token').filter(({ body }) => body.includes('refresh'))).toHaveLength(0)
  })

  test('one damaged file keeps none of the other servers from being taken over', async () => {
    await home.configure({
      mcpServers: { bad: { url: 'https://bad.example.com/mcp' }, demo: { url: mcp.url } },
    })
    write(`.mcp-auth/mcp-remote-v1/${md5('https://bad.example.com/mcp')}_tokens.json`, 'broken')
    const files = writeMcpRemote(await foreignLogin())
    const { code, document } = await json('import', 'mcp-remote')
    expect(code).toBe(1)
    expect(document.servers.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['error', 'taken'])
    await expectTaken(files)
  })

  test('a folder that cannot be read', async () => {
    writeMcpRemote(await foreignLogin())
    chmodSync(join(home.path, '.mcp-auth', 'mcp-remote-v1'), 0o000)
    const { code } = await run('import', 'mcp-remote')
    chmodSync(join(home.path, '.mcp-auth', 'mcp-remote-v1'), 0o700)
    // Root may read everything.
    expect(code).toBe(process.geteuid?.() === 0 ? 0 : 1)
  })

  test('an unknown program is a usage error that names the known ones', async () => {
    expect(await run('import', 'mcp-romote')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('mcp-use, mcp-remote'),
    })
  })
})
