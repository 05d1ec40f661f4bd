import { spawn } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BuiltCommand, commandAt, createHome, finished, type Home } from '../fixtures/built-command.ts'
import { packedPackage } from '../fixtures/packed-package.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
} from '../fixtures/scripted-authorization-server.ts'
import { requires } from '../requires.ts'

// What other users of the machine, or an archive that was unpacked in the wrong place, may have put where logins are stored.

let command: BuiltCommand
let as: ScriptedAuthorizationServer
let home: Home
/** Of the store, and what is outside of it and has to stay as it is. */
let store = ''
let victim = ''
let domain = ''

beforeAll(async () => {
  command = commandAt((await packedPackage()).bin)
  as = await startScriptedAuthorizationServer({ mcp: {} })
  domain = `127.0.0.1_${new URL(as.url).port}`
}, 120_000)
afterAll(() => as.close())

beforeEach(async () => {
  home = await createHome()
  store = join(home.path, '.mcp_use')
  victim = join(home.path, 'victim')
  await mkdir(victim)
  await writeFile(join(victim, 'file'), 'as it was\n', { mode: 0o644 })
  await chmod(victim, 0o755)
  as.requests.clear()
})
afterEach(() => rmSync(home.path, { recursive: true, force: true, maxRetries: 5 }))

const login = (...more: string[]) => command.run(['login', as.url, '--interactive', 'always', ...more], home)

async function expectUntouchedVictim(): Promise<void> {
  expect(await readdir(victim)).toEqual(['file'])
  expect(await readFile(join(victim, 'file'), 'utf8')).toBe('as it was\n')
  expect((await stat(join(victim, 'file'))).mode & 0o777).toBe(0o644)
  expect((await stat(victim)).mode & 0o777).toBe(0o755)
}

async function wideEntries(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  expect(entries.length).toBeGreaterThan(8)
  const modes = await Promise.all(
    entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name)
      return { path, mode: (await lstat(path)).mode & 0o777, right: entry.isDirectory() ? 0o700 : 0o600 }
    }),
  )
  return modes.filter(({ mode, right }) => mode !== right).map(({ path }) => path)
}

describe('S19: a wide umask', () => {
  test.each(['000', '022', '077'])('%s: what a login leaves is 0600 in 0700, and works', async (umask) => {
    const args = [
      process.execPath,
      command.bin,
      'login',
      as.url,
      '--interactive',
      'always',
      '--account',
      'a b',
    ]
    const child = spawn('sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', ...args], {
      env: home.env,
      cwd: home.path,
      stdio: 'pipe',
    })
    expect((await finished(child)).code).toBe(0)
    expect(await wideEntries(store)).toEqual([])
    expect((await stat(store)).mode & 0o777).toBe(0o700)
    const { code, stdout } = await command.run(['call', as.url, 'whoami', '--account', 'a b'], home)
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'alice\n' })
  })
})

describe('S19: a planted link', () => {
  const tokens = () => join(store, 'tokens')
  test.each<[string, () => string, 'file' | 'folder' | 'nothing']>([
    ['the file of the tokens, to a file', () => join(tokens(), `${domain}.json`), 'file'],
    ['the file of the tokens, to nothing', () => join(tokens(), `${domain}.json`), 'nothing'],
    ['the folder of its locks and temporary files', () => join(tokens(), `${domain}.json.lock`), 'folder'],
    ['the folder of registrations', () => join(tokens(), 'registrations'), 'folder'],
    ['a registration', () => join(tokens(), 'registrations', `${domain}_registration.json`), 'file'],
    [
      'the locks of registrations',
      () => join(tokens(), 'registrations', `${domain}_registration.json.lock`),
      'folder',
    ],
    ['the folder of tokens', tokens, 'folder'],
  ])('in place of %s is refused; nothing is written through it', async (_what, place, to) => {
    await mkdir(dirname(place()), { recursive: true, mode: 0o700 })
    const target = { file: join(victim, 'file'), folder: victim, nothing: join(victim, 'nothing') }[to]
    await symlink(target, place())
    const { code, stdout, stderr } = await login('--json')
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'store_failed' })
    expect(stderr).toContain('is a symbolic link')
    expect(code).toBe(1)
    await expectUntouchedVictim()
    expect((await lstat(place())).isSymbolicLink()).toBe(true)
    expect(as.requests.to('/token')).toEqual([])

    await rm(place())
    expect((await login()).code).toBe(0)
    await expectUntouchedVictim()
  })

  test('in place of the board where processes wait for each other is not used: nobody waits, the login is stored', async () => {
    await mkdir(tokens(), { recursive: true, mode: 0o700 })
    await symlink(victim, join(tokens(), '.sign-in'))
    expect((await login()).code).toBe(0)
    await expectUntouchedVictim()
    const { code, stdout } = await command.run(['call', as.url, 'whoami'], home)
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'alice\n' })
  })

  test('among the temporary files is never followed', async () => {
    expect((await login()).code).toBe(0)
    const locks = join(store, 'tokens', `${domain}.json.lock`)
    for (const name of [
      'document.1',
      'document.99.free',
      '0123456789abcdef.tmp',
      'record-0123456789abcdef',
    ]) {
      await symlink(join(victim, 'file'), join(locks, name)).catch(() => {})
    }
    expect((await login('--force')).code).toBe(0)
    await expectUntouchedVictim()
  })

  test('in place of trust.json does not make a file trusted', async () => {
    await mkdir(store, { mode: 0o700 })
    await symlink(join(victim, 'file'), join(store, 'trust.json'))
    const config = join(home.path, 'mcp.json')
    await writeFile(config, JSON.stringify({ mcpServers: { x: { url: as.url } } }), { mode: 0o600 })
    const { code, stdout } = await command.run(['trust', config, '--json'], home)
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'store_failed' })
    expect(code).toBe(1)
    await expectUntouchedVictim()
  })
})

describe('S19: a planted hard link', () => {
  test.each([
    ['text', 'as it was\n'],
    ['JSON of another program', '{ "access_token": "theirs" }'],
  ])('in place of the tokens, of a file with %s: that file keeps its content', async (_what, content) => {
    const other = join(home.path, 'other')
    await writeFile(other, content, { mode: 0o600 })
    await mkdir(join(store, 'tokens'), { recursive: true, mode: 0o700 })
    const place = join(store, 'tokens', `${domain}.json`)
    await link(other, place)
    const first = await login('--json')
    expect([0, 1]).toContain(first.code)
    expect(await readFile(other, 'utf8')).toBe(content)

    await rm(place, { force: true })
    expect((await login()).code).toBe(0)
    expect(await readFile(other, 'utf8')).toBe(content)
  })

  test('to our own tokens is told of before anything is asked for; without it the next login works', async () => {
    expect((await login()).code).toBe(0)
    const copy = join(home.path, 'copy')
    await link(join(store, 'tokens', `${domain}.json`), copy)
    const before = await readFile(copy, 'utf8')
    as.requests.clear()
    const { code, stdout } = await login('--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'store_failed' })
    expect(as.requests.to('/token')).toEqual([])
    expect(await readFile(copy, 'utf8')).toBe(before)

    await rm(copy)
    expect((await login()).code).toBe(0)
  })
})

const isRoot = process.geteuid?.() === 0
const NOBODY = 65_534

describe('S19: a store inside a folder that everybody can write', () => {
  /** As /tmp is: only its owner takes a file out of it again. */
  const inside = async (mode = 0o1777) => {
    const parent = join(home.path, 'everybody')
    await mkdir(parent)
    await chmod(parent, mode)
    store = join(parent, 'store')
    return { ...home, env: { ...home.env, LATCHKEY_HOME: store } }
  }

  test('that lets everybody exchange what is in it is not made', async () => {
    const there = await inside(0o777)
    const { code, stdout } = await command.run(['login', as.url, '--interactive', 'always', '--json'], there)
    expect(code).toBe(1)
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'store_failed' })
    expect(existsSync(store)).toBe(false)
    expect(existsSync(home.browserLog)).toBe(false)
  })

  test('is made for its owner alone', async () => {
    const there = await inside()
    const { code } = await command.run(['login', as.url, '--interactive', 'always'], there)
    expect(code).toBe(0)
    expect((await stat(store)).mode & 0o777).toBe(0o700)
    expect(await wideEntries(store)).toEqual([])
  })

  test('that everybody can write itself is narrowed, and the person is told', async () => {
    const there = await inside()
    await mkdir(store)
    await chmod(store, 0o777)
    const { code, stderr } = await command.run(['login', as.url, '--interactive', 'always'], there)
    expect(code).toBe(0)
    expect(stderr).toContain('was open to other users (mode 0777)')
    expect((await stat(store)).mode & 0o022).toBe(0)
  })

  requires('root', isRoot)('and other users', () => {
    test.each<[string, () => string]>([
      ['the store', () => store],
      ['its tokens', () => join(store, 'tokens')],
      ['the file of this server', () => join(store, 'tokens', `${domain}.json`)],
      ['its locks', () => join(store, 'tokens', `${domain}.json.lock`)],
    ])('%s planted by another user is not used: nothing is stored there', async (_what, place) => {
      const there = await inside()
      await mkdir(dirname(place()), { recursive: true, mode: 0o700 })
      if (place().endsWith('.json')) await writeFile(place(), '{}', { mode: 0o666 })
      else await mkdir(place(), { mode: 0o777 })
      await chown(place(), NOBODY, NOBODY)
      const run = (...args: string[]) =>
        command.run(['login', as.url, '--interactive', 'always', ...args], there)
      const { code, stdout } = await run('--json')
      expect(JSON.parse(stdout).error).toMatchObject({ code: 'store_failed' })
      expect(JSON.parse(stdout).error.message).toContain(`belongs to user ${NOBODY}`)
      expect(code).toBe(1)
      expect(as.requests.to('/token')).toEqual([])
      const theirs = place().endsWith('.json') ? readFile(place(), 'utf8') : readdir(place())
      expect((await theirs).length).toBe(place().endsWith('.json') ? 2 : 0)
      expect(existsSync(home.browserLog)).toBe(false)

      await rename(place(), `${place()}-aside`)
      expect((await run()).code).toBe(0)
    })
  })
})
