import { EventEmitter } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBrowser, type SpawnBrowser } from './browser.ts'

const url = 'http://localhost:8080/start/AbC-_0123456789abcdefg'

/** Launchers by name that end with a code, cannot start, or stay; everything that was started is recorded. */
function launchers(behaviour: Record<string, number | 'ENOENT' | 'stays'> = {}) {
  const started: { argv: string[]; options: Parameters<SpawnBrowser>[2] }[] = []
  const spawn: SpawnBrowser = (file, argv, options) => {
    started.push({ argv: [file, ...argv], options })
    const child = Object.assign(new EventEmitter(), { unref() {} })
    const outcome = behaviour[file] ?? 0
    setImmediate(() => {
      if (outcome === 'ENOENT') child.emit('error', Object.assign(new Error(outcome), { code: outcome }))
      else if (outcome !== 'stays') child.emit('exit', outcome)
    })
    return child
  }
  return { spawn, started, commands: () => started.map(({ argv }) => argv) }
}

describe('what is started', () => {
  it.each([
    ['macOS', 'darwin', {}, ['open', url]],
    [
      'Windows',
      'win32',
      { SystemRoot: 'D:\\Windows', BROWSER: 'evil' },
      ['D:\\Windows\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', url],
    ],
    [
      'Windows without SystemRoot',
      'win32',
      {},
      ['C:\\Windows\\System32\\rundll32.exe', 'url.dll,FileProtocolHandler', url],
    ],
    ['a Linux desktop', 'linux', { DISPLAY: ':0' }, ['xdg-open', url]],
    ['a Wayland desktop', 'linux', { WAYLAND_DISPLAY: 'wayland-0' }, ['xdg-open', url]],
    ['WSL', 'linux', { WSL_DISTRO_NAME: 'Debian' }, ['wslview', url]],
    ['BROWSER', 'linux', { BROWSER: 'firefox', DISPLAY: ':0' }, ['firefox', url]],
    ['BROWSER on macOS', 'darwin', { BROWSER: 'firefox' }, ['firefox', url]],
    ['an empty BROWSER', 'linux', { BROWSER: ' ', DISPLAY: ':0' }, ['xdg-open', url]],
    [
      'BROWSER with arguments',
      'linux',
      { BROWSER: 'firefox --new-window' },
      ['firefox', '--new-window', url],
    ],
    [
      'BROWSER with %s',
      'linux',
      { BROWSER: 'app  --url=%s --zoom=50%% -x' },
      ['app', `--url=${url}`, '--zoom=50%', '-x'],
    ],
    [
      'shell syntax in BROWSER',
      'linux',
      { BROWSER: 'app; $(touch x) && "y"' },
      ['app;', '$(touch', 'x)', '&&', '"y"', url],
    ],
  ] as const)('%s', async (_what, platform, env, expected) => {
    const { spawn, started, commands } = launchers()
    await createBrowser({ env, platform, spawn }).open(url)
    expect(commands()).toEqual([expected])
    expect(started[0]?.options).toMatchObject({ shell: false, stdio: 'ignore' })
  })

  it('the next launcher, when one is missing or fails', async () => {
    const { spawn, commands } = launchers({ 'xdg-open': 3, wslview: 'ENOENT', 'rundll32.exe': 1 })
    const env = { DISPLAY: ':0', WSL_INTEROP: '/run/WSL/1_interop' }
    await createBrowser({ env, platform: 'linux', spawn }).open(url)
    expect(commands().map(([file]) => file)).toEqual(['xdg-open', 'wslview', 'rundll32.exe', 'x-www-browser'])
  })

  it('the next command of BROWSER, and nothing that is not in it', async () => {
    const { spawn, commands } = launchers({ a: 1, b: 'ENOENT' })
    const opening = createBrowser({
      env: { BROWSER: 'a:b -x:', DISPLAY: ':0' },
      platform: 'linux',
      spawn,
    }).open(url)
    await expect(opening).rejects.toMatchObject({ code: 'unsupported' })
    expect(commands()).toEqual([
      ['a', url],
      ['b', '-x', url],
    ])
  })

  it('one that is still there after a while is believed', async () => {
    const { spawn, commands } = launchers({ 'xdg-open': 'stays' })
    await createBrowser({ env: { DISPLAY: ':0' }, platform: 'linux', spawn }).open(url)
    expect(commands()).toHaveLength(1)
  })
})

describe('no browser', () => {
  it.each([
    ['no desktop', {}],
    ['a desktop that is turned off', { DISPLAY: ':0', BROWSER: 'none' }],
  ])('%s: rejects at once and starts nothing', async (_what, env) => {
    const { spawn, commands } = launchers()
    const opening = createBrowser({ env, platform: 'linux', spawn }).open(url)
    await expect(opening).rejects.toMatchObject({
      code: 'unsupported',
      remedy: 'Open the sign-in URL by hand, or set BROWSER to the command that opens one.',
    })
    expect(commands()).toEqual([])
  })

  it('says what became of each launcher', async () => {
    const { spawn } = launchers({ 'xdg-open': 3, 'x-www-browser': 'ENOENT', 'gnome-open': 'ENOENT' })
    await expect(
      createBrowser({ env: { DISPLAY: ':0' }, platform: 'linux', spawn }).open(url),
    ).rejects.toThrow('xdg-open ended with 3; x-www-browser is not installed; gnome-open is not installed')
  })
})

describe('[OPEN-03] S1-S5: nothing but a start URL reaches a launcher', () => {
  it.each([
    'a:$(cmd.exe /c whoami > c:\\temp\\pwned.txt)',
    'file:///c:/windows/system32/calc.exe',
    'https://evil.example/authorize?x=1&calc',
    'https://example.com/?state=abc&calc',
    'http://evil.example/start/x',
    'http://localhost.evil.example/start/x',
    'http://localhost@evil.example/start/x',
    'http://127.0.0.1:8080@evil.example/start/x',
    'http://169.254.169.254/latest/meta-data/',
    'http://localhost:8080/start/x?y=1&calc',
    'http://localhost:8080/%USERPROFILE%',
    'http://localhost:8080/$(id)',
    'http://localhost:8080/`id`',
    'http://localhost:8080/|calc',
    'http://localhost:8080/^calc',
    'http://localhost:8080/start/x\n--flag',
    'http://localhost:8080/start/x#y',
    'javascript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'ms-calculator:',
    '--upload-pack=evil-script',
    '--config=x',
    '',
  ])('%j', async (hostile) => {
    for (const platform of ['linux', 'darwin', 'win32'] as const) {
      const { spawn, commands } = launchers()
      const opening = createBrowser({ env: { DISPLAY: ':0', BROWSER: 'firefox' }, platform, spawn }).open(
        hostile,
      )
      await expect(opening).rejects.toMatchObject({ code: 'url_refused' })
      expect(commands()).toEqual([])
    }
  })
})

describe('the environment of the browser', () => {
  it('keeps what a launcher needs and loses what is named like a secret', async () => {
    const kept = {
      DISPLAY: ':0',
      DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1000/bus',
      XAUTHORITY: '/x',
      XDG_ACTIVATION_TOKEN: 'focus',
      https_proxy: 'http://proxy:3128',
      VSCODE_IPC_HOOK_CLI: '/run/x.sock',
      KEYBOARD: 'de',
      PATH: '/bin',
      PWD: '/home/me',
      SSH_AUTH_SOCK: '/run/agent',
      HTTP_PROXY: 'http://me:proxy-password@proxy:3128',
      START_PAGE: 'https://example.com/a@b:c',
    }
    const secret = {
      LATCHKEY_CONFIG: 'x',
      LATCHKEY_CLIENT_SECRET: 'x',
      GITHUB_TOKEN: 'x',
      OPENAI_API_KEY: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      AWS_ACCESS_KEY_ID: 'x',
      PGPASSWORD: 'x',
      acme_client_secret: 'x',
      GITHUB_PAT: 'x',
      MYSQL_PWD: 'x',
      SSHPASS: 'x',
      NPM_AUTH: 'x',
      DATABASE_URL: 'postgres://me:password@db/x',
    }
    const { spawn, started } = launchers()
    await createBrowser({ env: { ...kept, ...secret }, platform: 'linux', spawn }).open(url)
    expect(started[0]?.options.env).toEqual(kept)
  })
})

describe.skipIf(process.platform === 'win32')('a real launcher', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-browser-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  /** A script that writes down how it was started. */
  async function script(name: string, end = ''): Promise<string> {
    const file = join(folder, name)
    await writeFile(
      file,
      `#!/bin/sh\necho to-stdout\necho to-stderr >&2\nfor word in "$@"; do printf '%s\\n' "$word"; done > '${folder}/argv'\nenv > '${folder}/env'\n${end}\n`,
    )
    await chmod(file, 0o755)
    return file
  }

  const env = { PATH: process.env.PATH, GITHUB_TOKEN: 'canary-secret' }

  it('[OPEN-02] gets the URL as its one argument, in a path with spaces too', async () => {
    const BROWSER = await script('my browser')
    await createBrowser({ env: { ...env, BROWSER }, platform: 'linux' }).open(url)
    expect(await readFile(join(folder, 'argv'), 'utf8')).toBe(`${url}\n`)
    expect(await readFile(join(folder, 'env'), 'utf8')).not.toContain('canary')
  })

  it('that fails or does not exist is said so', async () => {
    const failing = await script('failing', 'exit 4')
    const BROWSER = `${failing}:${join(folder, 'missing')}`
    await expect(createBrowser({ env: { ...env, BROWSER }, platform: 'linux' }).open(url)).rejects.toThrow(
      `${failing} ended with 4; ${join(folder, 'missing')} is not installed`,
    )
  })

  it('that cannot be executed is said so', async () => {
    const BROWSER = join(folder, 'text')
    await writeFile(BROWSER, 'x')
    await expect(createBrowser({ env: { ...env, BROWSER }, platform: 'linux' }).open(url)).rejects.toThrow(
      'did not start (EACCES)',
    )
  })
})
