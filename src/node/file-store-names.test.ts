import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serverDomain } from '../credentials/identity.ts'
import type { LatchkeyEvent } from '../events.ts'
import type { CredentialKey, CredentialStore } from '../ports.ts'
import { createFileStore } from './file-store.ts'

let folder = ''
let home = ''
let events: LatchkeyEvent[] = []
let store: CredentialStore

const newStore = (): CredentialStore =>
  createFileStore({ home, emit: (event) => events.push(event), staleAfter: 300 })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-names-'))
  home = join(folder, 'home')
  events = []
  store = newStore()
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

function tokens(serverUrl = 'https://mcp.example.com/mcp', account: string | null = null): CredentialKey {
  const identity = { server_url: serverUrl, configured_client_id: null }
  return { kind: 'tokens', serverDomain: serverDomain(serverUrl), account, identity }
}
const save = (key: CredentialKey, token = 'secret') =>
  store.write(key, { ...key.identity, access_token: token })
const token = async (key: CredentialKey) => (await store.read(key))?.record.access_token

describe('S20: names', () => {
  test.each([
    ['https://a_8443/mcp', 'https://a:8443/mcp'],
    ['http://--1_3000/mcp', 'http://[::1]:3000/mcp'],
    ['https://mcp.example.com/A', 'https://mcp.example.com/a'],
    ['https://MCP.example.com/a', 'https://mcp.example.com/A'],
    ['https://registrations/mcp', 'https://mcp.example.com/mcp'],
    ['https://con.example.com/mcp', 'https://con.example.com:8443/mcp'],
    ['https://b\u00fccher.example/mcp', 'https://xn--bcher-kva.example/other'],
  ])('%s and %s never see each other', async (one, other) => {
    const [a, b] = [tokens(new URL(one).href), tokens(new URL(other).href)]
    for (const account of [null, 'jane']) {
      const [mine, theirs] = [
        { ...a, account },
        { ...b, account },
      ]
      await save(mine, 'of one')
      expect(await store.read(theirs)).toBeUndefined()
      await save(theirs, 'of the other')
      expect(await token(mine)).toBe('of one')
      const listed = await store.list({ kind: 'tokens', serverDomain: mine.serverDomain, account })
      for (const { key, record } of listed) expect(record.server_url).toBe(key.identity.server_url)
      await store.delete(theirs)
      expect(await token(mine)).toBe('of one')
    }
    expect((await store.list({ kind: 'tokens' })).map(({ key }) => key.identity.server_url)).toEqual([
      a.identity.server_url,
      a.identity.server_url,
    ])
  })

  test.each([
    '__proto__',
    'constructor',
    '../../x',
    '..\\..\\x',
    'a\0b',
    'CON',
    'NUL ',
    'x.',
    'x'.repeat(10_000),
    '',
    'Jane',
    'jane',
    '\u00e4',
    'a\u0308',
  ])('the account %j is kept apart from all others and below the store', async (account) => {
    const others = ['jane', 'Jane', '\u00e4', 'a\u0308', 'constructor'].filter((name) => name !== account)
    await save(tokens(undefined, account), 'mine')
    for (const other of others) expect(await store.read(tokens(undefined, other))).toBeUndefined()
    expect(await store.read(tokens())).toBeUndefined()
    expect(await token(tokens(undefined, account))).toBe('mine')
    expect(await readdir(folder)).toEqual(['home'])
    expect((await store.list({ kind: 'tokens' })).map(({ key }) => key.account)).toEqual([account])
  })

  test.each(['con', 'nul.example.com', 'aux', 'com1.example.com'])(
    'the host %s has a file name that is no device on Windows, and is found again',
    async (host) => {
      const key = { ...tokens(), serverDomain: host }
      for (const account of [null, 'jane']) await save({ ...key, account }, `of ${account}`)
      expect((await readdir(join(home, 'tokens'))).filter((name) => name.startsWith(host))).toEqual([])
      const listed = await store.list({ kind: 'tokens' })
      expect(listed.map(({ key: found }) => [found.serverDomain, found.account])).toEqual([
        [host, null],
        [host, 'jane'],
      ])
    },
  )

  test('a host with a dot at its end, which Windows drops from folders, is refused', async () => {
    await expect(save(tokens('https://mcp.example.com./mcp'))).rejects.toMatchObject({ code: 'store_failed' })
    await expect(readdir(home)).rejects.toThrow('ENOENT')
  })

  test('a document under the name of another account is not used there', async () => {
    await save(tokens(undefined, 'jane'), 'of jane')
    await save(tokens(undefined, 'john'), 'of john')
    await rename(store.locate(tokens(undefined, 'jane')), store.locate(tokens(undefined, 'john')))
    expect(await store.read(tokens(undefined, 'john'))).toBeUndefined()
    await expect(save(tokens(undefined, 'john'))).rejects.toMatchObject({ code: 'store_failed' })
  })
})

describe('S20: members of stored JSON', () => {
  test('`__proto__` and `constructor` are members like any other: nothing is inherited from them, nothing polluted', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    const document = JSON.parse(await readFile(path, 'utf8'))
    const evil = '{"access_token":"evil","polluted":true,"server_url":"https://mcp.example.com/mcp"}'
    const hostile = `{"__proto__":${evil},"constructor":{"prototype":${evil}},"configured_client_id":null}`
    const text = JSON.stringify({ ...document, records: [...document.records, 'HOSTILE'] })
      .replace('"HOSTILE"', hostile)
      .replace('{"format"', `{"__proto__":${evil},"format"`)
    await writeFile(path, text)
    expect(await token(tokens())).toBe('secret')
    await save(tokens(), 'new')
    expect(await token(tokens())).toBe('new')
    expect((await store.list({ kind: 'tokens' })).map(({ record }) => record.access_token)).toEqual(['new'])
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    // Kept, as every member that we do not know.
    expect(await readFile(path, 'utf8')).toContain('"__proto__"')
  })

  test('a record whose identity is only inherited answers to no key', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    const text = await readFile(path, 'utf8')
    const inherited = `{"__proto__":${JSON.stringify(tokens().identity)},"access_token":"evil"}`
    await writeFile(path, text.replace(/"records": \[[\s\S]*\]/, `"records": [${inherited}]`))
    expect(await store.read(tokens())).toBeUndefined()
    expect(await store.list({ kind: 'tokens' })).toEqual([])
  })

  test('a document nested without end is damaged: set aside, and no stack overflows', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    const text = await readFile(path, 'utf8')
    await writeFile(
      path,
      text.replace('"records"', `"deep": ${'['.repeat(200_000)}${']'.repeat(200_000)}, "records"`),
    )
    expect(await store.read(tokens())).toBeUndefined()
    expect(await readdir(dirname(path))).toContain('mcp.example.com.json.corrupt-1')
  })
})
