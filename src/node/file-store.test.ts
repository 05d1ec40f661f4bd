import { spawnSync } from 'node:child_process'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LatchkeyEvent } from '../events.ts'
import type { CredentialKey, CredentialStore } from '../ports.ts'
import { createFileStore } from './file-store.ts'
import { emptyDocument } from './store-document.ts'
import { recordLock } from './store-folder-layout.ts'

let folder = ''
let home = ''
let events: LatchkeyEvent[] = []
let store: CredentialStore

const newStore = (): CredentialStore =>
  createFileStore({ home, emit: (event) => events.push(event), staleAfter: 300 })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-file-store-'))
  home = join(folder, 'home')
  events = []
  store = newStore()
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

function tokens(serverDomain = 'mcp.example.com', account: string | null = null): CredentialKey {
  const identity = { server_url: `https://${serverDomain}/mcp`, configured_client_id: null }
  return { kind: 'tokens', serverDomain, account, identity }
}
const registration: CredentialKey = {
  kind: 'registrations',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { issuer: 'https://as.example.com', redirect_uri: 'http://localhost:8080/callback' },
}
const save = (key: CredentialKey, token = 'secret') =>
  store.write(key, { ...key.identity, access_token: token })
const token = async (key: CredentialKey) => (await store.read(key))?.record.access_token
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
const codes = () => events.map((event) => (event.type === 'warning' ? event.code : event.type))

/** Puts something where the store expects its document. */
async function plant(key: CredentialKey, content: string): Promise<string> {
  const path = store.locate(key)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(path, content, { mode: 0o600 })
  return path
}

describe('names', () => {
  test.each<[CredentialKey, string]>([
    [tokens(), 'mcp.example.com.json'],
    [tokens('localhost_3000'), 'localhost_3000.json'],
    [tokens('--1_3000'), '--1_3000.json'],
    // printf %s jane@example.com | sha256sum | cut -c1-32
    [tokens('mcp.example.com', 'jane@example.com'), 'mcp.example.com/8c87b489ce35cf2e2f39f80e282cb2e8.json'],
    [registration, 'registrations/mcp.example.com_registration.json'],
    [
      { ...registration, account: 'jane@example.com' },
      'registrations/mcp.example.com/8c87b489ce35cf2e2f39f80e282cb2e8_registration.json',
    ],
  ])('$0.kind of $0.serverDomain, account $0.account', async (key, expected) => {
    await save(key)
    expect(store.locate(key)).toBe(join(home, 'tokens', expected))
    expect(JSON.parse(await readFile(store.locate(key), 'utf8'))).toMatchObject({
      format: 'latchkey-credentials',
      version: 1,
      kind: key.kind,
      server_domain: key.serverDomain,
      account: key.account,
      records: [{ ...key.identity, revision: expect.stringMatching(/^[0-9a-f]{16}$/) }],
    })
  })

  test.each([
    '..',
    '.',
    '',
    '../../x',
    'a/b',
    'a\\b',
    'a\0b',
    '.hidden',
    'a..b',
    'UPPER.example.com',
    'bücher.example',
    'a:8080',
    'a'.repeat(191),
  ])('a domain of %j is refused before any file is touched', async (domain) => {
    const key = tokens(domain)
    for (const act of [
      () => save(key),
      () => store.read(key),
      () => store.delete(key),
      () => store.lock(key),
    ]) {
      await expect(act()).rejects.toMatchObject({ code: 'store_failed' })
    }
    expect(await readdir(folder)).toEqual([])
  })

  test('the longest domain there may be works with all that is appended to it', async () => {
    const key = { ...registration, serverDomain: 'a'.repeat(190) }
    await (await store.lock(key)).release()
    await save(key)
    await writeFile(store.locate(key), 'damaged')
    expect(await store.read(key)).toBeUndefined()
    expect(codes()).toEqual(['store_file_set_aside'])
  })
})

describe('what is already there', () => {
  test('reading and deleting in a home that does not exist creates nothing', async () => {
    expect(await store.read(tokens())).toBeUndefined()
    await store.delete(tokens())
    expect(await store.list({ kind: 'tokens' })).toEqual([])
    expect(await readdir(folder)).toEqual([])
  })

  test('the store is kept out of version control', async () => {
    await save(tokens())
    expect(await readFile(join(home, 'tokens', '.gitignore'), 'utf8')).toBe('*\n')
  })

  test('[STORE-01] a store that others could read is narrowed, and that is said once', async () => {
    await save(tokens())
    await save(tokens('mcp.example.com', 'jane'))
    const path = store.locate(tokens())
    for (const wide of [join(home, 'tokens'), join(home, 'tokens', 'mcp.example.com')])
      await chmod(wide, 0o755)
    await chmod(path, 0o644)
    store = newStore()
    expect(await token(tokens())).toBe('secret')
    expect(await token(tokens('mcp.example.com', 'jane'))).toBe('secret')
    expect(await modeOf(path)).toBe('600')
    expect(await modeOf(join(home, 'tokens'))).toBe('700')
    expect(await modeOf(join(home, 'tokens', 'mcp.example.com'))).toBe('700')
    expect(events).toEqual([
      {
        type: 'warning',
        code: 'store_permissions_narrowed',
        message: expect.stringContaining(`${join(home, 'tokens')} was open to other users (mode 0755)`),
      },
    ])
    // Another process finds the folder closed: what it narrows in there could be reached by nobody.
    events.length = 0
    await chmod(path, 0o644)
    store = newStore()
    expect(await token(tokens())).toBe('secret')
    expect(await modeOf(path)).toBe('600')
    expect(events).toEqual([])
  })

  test('of the home, which other programs use as well, only the right to write is taken from others', async () => {
    await mkdir(home)
    await chmod(home, 0o777)
    await save(tokens())
    expect(await modeOf(home)).toBe('755')
    await chmod(home, 0o755)
    await save(tokens())
    expect(await modeOf(home)).toBe('755')
    expect(codes()).toEqual(['store_permissions_narrowed'])
  })

  test('the home may be a link', async () => {
    await mkdir(join(folder, 'real'), { mode: 0o700 })
    await symlink(join(folder, 'real'), home)
    await save(tokens())
    expect(await token(tokens())).toBe('secret')
    expect(await readdir(join(folder, 'real'))).toEqual(['tokens'])
  })
})

describe('hostile or foreign files', () => {
  const foreign = '{"access_token":"theirs","token_type":"Bearer"}'

  test("another program's file at our path: finds nothing, is never overwritten, and the error says what to do", async () => {
    const path = await plant(tokens(), foreign)
    expect(await store.read(tokens())).toBeUndefined()
    await store.delete(tokens())
    await expect(save(tokens())).rejects.toMatchObject({
      code: 'store_failed',
      location: path,
      message: expect.stringMatching(/another program[\s\S]*LATCHKEY_HOME/),
    })
    expect(await store.list({ kind: 'tokens' })).toEqual([])
    expect(await readFile(path, 'utf8')).toBe(foreign)
    expect(codes()).toEqual([])
  })

  test("other programs' files beside ours stay as they are, readable or not", async () => {
    await save(tokens())
    const others = { 'mcp.linear.app__sse.json': foreign, 'half-written.json': '{"acc', 'notes.txt': 'x' }
    for (const [name, content] of Object.entries(others)) await writeFile(join(home, 'tokens', name), content)
    expect(await store.list({ kind: 'tokens' })).toHaveLength(1)
    for (const [name, content] of Object.entries(others)) {
      expect(await readFile(join(home, 'tokens', name), 'utf8')).toBe(content)
    }
  })

  test.each([
    ['half a document', '{"format": "latchkey-credentials", "rec'],
    ['nothing', ''],
    ['not UTF-8', '\u00ff'],
  ])('%s: kept aside under a free name, reported, and only this server starts anew', async (_, content) => {
    await save(tokens('other.example.com'))
    const path = await plant(tokens(), '')
    await writeFile(`${path}.corrupt-1`, 'kept before')
    await writeFile(path, content, 'latin1')
    expect(await store.read(tokens())).toBeUndefined()
    expect(await readFile(`${path}.corrupt-1`, 'utf8')).toBe('kept before')
    expect(await readFile(`${path}.corrupt-2`, 'latin1')).toBe(content)
    expect(codes()).toEqual(['store_file_set_aside'])
    await save(tokens(), 'anew')
    expect(await token(tokens())).toBe('anew')
    expect(await token(tokens('other.example.com'))).toBe('secret')
  })

  test('a damaged file is set aside by a write as well', async () => {
    const path = await plant(tokens(), 'damaged')
    await save(tokens())
    expect(await readFile(`${path}.corrupt-1`, 'utf8')).toBe('damaged')
    expect(await token(tokens())).toBe('secret')
  })

  test('a document of a later version is neither read nor touched; the others are listed', async () => {
    await save(tokens('other.example.com'))
    const later = '{"format":"latchkey-credentials","version":2}'
    const path = await plant(tokens(), later)
    for (const act of [() => save(tokens()), () => store.read(tokens()), () => store.delete(tokens())]) {
      await expect(act()).rejects.toMatchObject({
        code: 'store_failed',
        message: expect.stringMatching(/later version/),
      })
    }
    expect(await readFile(path, 'utf8')).toBe(later)
    expect(await store.list({ kind: 'tokens' })).toHaveLength(1)
    expect(codes()).toEqual(['record_does_not_fit'])
  })

  test('[STORE-02] S19: a link planted at the token path is neither followed for reading nor for writing', async () => {
    const target = join(folder, 'elsewhere.json')
    await save(tokens())
    const path = store.locate(tokens())
    const before = await readFile(path, 'utf8')
    await writeFile(target, before, { mode: 0o600 })
    await rm(path)
    await symlink(target, path)
    for (const act of [() => save(tokens(), 'new'), () => store.read(tokens())]) {
      await expect(act()).rejects.toMatchObject({
        code: 'store_failed',
        message: expect.stringMatching(/symbolic link/),
      })
    }
    expect(await readFile(target, 'utf8')).toBe(before)
    expect((await lstat(path)).isSymbolicLink()).toBe(true)
  })

  test('[STORE-02] S19: a folder that is a link to elsewhere is refused', async () => {
    await mkdir(home, { mode: 0o700 })
    await mkdir(join(folder, 'elsewhere'))
    await symlink(join(folder, 'elsewhere'), join(home, 'tokens'))
    await expect(save(tokens())).rejects.toMatchObject({ code: 'store_failed' })
    expect(await readdir(join(folder, 'elsewhere'))).toEqual([])
  })

  test('a planted pipe or folder at the token path does not hang or crash', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    await rm(path)
    await mkdir(path, { mode: 0o700 })
    await expect(store.read(tokens())).rejects.toMatchObject({ code: 'store_failed' })
    await rm(path, { recursive: true })
    spawnSync('mkfifo', [path])
    await expect(store.read(tokens())).rejects.toMatchObject({ code: 'store_failed' })
  })

  test('a document that was copied to another name is not used there', async () => {
    await save(tokens('other.example.com'), 'of the other')
    await plant(tokens(), await readFile(store.locate(tokens('other.example.com')), 'utf8'))
    expect(await store.read(tokens())).toBeUndefined()
    expect(await store.list({ kind: 'tokens' })).toHaveLength(1)
  })

  test('a record that was copied into the document of another account is not used there', async () => {
    const [jane, joe] = [tokens('mcp.example.com', 'jane'), tokens('mcp.example.com', 'joe')]
    for (const key of [jane, joe]) {
      await store.write(key, { ...key.identity, account: key.account, access_token: `of ${key.account}` })
    }
    const text = await readFile(store.locate(joe), 'utf8')
    const { records } = JSON.parse(await readFile(store.locate(jane), 'utf8'))
    await plant(joe, JSON.stringify({ ...JSON.parse(text), records }))
    expect(await store.read(joe)).toBeUndefined()
    expect(await store.list({ kind: 'tokens', account: 'joe' })).toEqual([])
    expect(await token(jane)).toBe('of jane')
  })
})

test('temporary files of processes that ended are removed by the next write', async () => {
  await save(tokens())
  const work = `${store.locate(tokens())}.lock`
  await writeFile(join(work, '0123456789abcdef.tmp'), '{"half')
  await save(tokens(), 'new')
  expect((await readdir(work)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  expect(basename(work)).toBe('mcp.example.com.json.lock')
})

test('deleting one record leaves the others of its document', async () => {
  const [a, b] = ['a', 'b'].map((client) => ({
    ...tokens(),
    identity: { ...tokens().identity, configured_client_id: client },
  }))
  await save(a!, 'of a')
  await save(b!, 'of b')
  await store.delete(a!)
  expect(await store.read(a!)).toBeUndefined()
  expect(await token(b!)).toBe('of b')
  expect(await readFile(store.locate(a!), 'utf8')).not.toContain('of a')
})

test('concurrent writes in one process: no record lost', async () => {
  const keys = Array.from({ length: 30 }, (_, n) => ({
    ...tokens(),
    identity: { ...tokens().identity, configured_client_id: `client-${n}` },
  }))
  await Promise.all(keys.map((key) => save(key)))
  expect(await store.list({ kind: 'tokens' })).toHaveLength(30)
})

test('a home that cannot be created is a store_failed error with what to do', async () => {
  await writeFile(home, 'a file')
  await expect(save(tokens())).rejects.toMatchObject({ code: 'store_failed', location: home })
  await rm(home)
  await writeFile(join(folder, 'file'), '')
  home = join(folder, 'file', 'below')
  store = newStore()
  await expect(save(tokens())).rejects.toMatchObject({
    code: 'store_failed',
    remedy: expect.stringContaining('LATCHKEY_HOME'),
  })
})

test('a process that died while it wrote held two locks, and both are waited for at once', async () => {
  const key = tokens()
  const path = await plant(key, JSON.stringify(emptyDocument(key)))
  const document = join(`${path}.lock`, 'document')
  const record = recordLock(home, key)
  await mkdir(dirname(document), { mode: 0o700 })
  for (const lock of [document, record]) await writeFile(`${lock}.1`, '', { mode: 0o600 })

  const staleAfter = 2_000
  const next = createFileStore({ home, emit: () => {}, staleAfter })
  const lease = await next.lock(key)
  const locked = performance.now()
  await next.write(key, { ...key.identity, access_token: 'of the next process' })
  expect(performance.now() - locked).toBeLessThan(staleAfter)
  await lease.release()
})
