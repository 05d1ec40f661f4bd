import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { createKeychainFileStore } from '../src/keychain-store.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialKey } from '../src/ports.ts'
import type { OpenEntry } from '../src/stores/keychain-entry.ts'
import { storeContract } from '../src/stores/store-contract.ts'
import { hasSecretService, type Session, startSession } from './fixtures/secret-service.ts'
import { requires } from './requires.ts'
import { buildFleetChild, type StoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let child: Awaited<ReturnType<typeof buildFleetChild>>
let homes = 0
beforeAll(async () => {
  folder = await temporaryFolder()
  child = await buildFleetChild()
})
afterAll(async () => {
  await child.remove()
  await folder.remove()
})
const newHome = (): string => join(folder.path, `home-${homes++}`)

const key: CredentialKey = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
}
const record = { ...key.identity, access_token: 'token-canary', client_id: 'client-canary' }

/** A keychain in memory, which notes what is asked of it. */
function scriptedKeychain(entries = new Map<string, string>()) {
  const asked: string[] = []
  const openEntry: OpenEntry = async (_service, name) => ({
    async read() {
      asked.push(`read ${name}`)
      return entries.get(name)
    },
    async write(text) {
      asked.push(`write ${name}`)
      entries.set(name, text)
    },
    async delete() {
      asked.push(`delete ${name}`)
      entries.delete(name)
    },
  })
  return { entries, asked, openEntry }
}

function open(home: string, openEntry: OpenEntry, mode: 'auto' | 'keychain' = 'keychain', patience = 3000) {
  const events: LatchkeyEvent[] = []
  const emit = (event: LatchkeyEvent): void => void events.push(event)
  const store = createKeychainFileStore({ home, emit, mode, openEntry, patience })
  return { store, codes: () => events.map((event) => (event.type === 'warning' ? event.code : event.type)) }
}

const noKeychain: OpenEntry = async () => {
  throw new Error('org.freedesktop.DBus.Error.ServiceUnknown')
}

describe('the key', () => {
  test('is made after a trial, and asked for once', async () => {
    const { asked, openEntry } = scriptedKeychain()
    const { store } = open(newHome(), openEntry)
    expect(asked).toEqual([])
    await store.write(key, record)
    for (let time = 0; time < 3; time++) await store.read(key)
    const name = 'key of stored logins'
    expect(asked).toEqual([
      ...[`read ${name}`, `read ${name}`],
      ...['write trial', 'read trial', 'delete trial'],
      ...[`write ${name}`, `read ${name}`],
    ])
  })

  test('is the same for all stores that start at once', async () => {
    const home = newHome()
    const { openEntry } = scriptedKeychain()
    const slow: OpenEntry = async (service, name) => {
      const entry = await openEntry(service, name)
      const after = async <T>(work: () => Promise<T>): Promise<T> => {
        await new Promise((resolve) => setTimeout(resolve, 10))
        return work()
      }
      return {
        read: () => after(entry.read),
        write: (text) => after(() => entry.write(text)),
        delete: () => after(entry.delete),
      }
    }
    const accounts = Array.from({ length: 6 }, (_, number) => ({ ...key, account: `account ${number}` }))
    await Promise.all(accounts.map((one) => open(home, slow).store.write(one, record)))
    const { store } = open(home, slow)
    for (const one of accounts) expect((await store.read(one))?.record).toEqual(record)
  })

  test('a keychain that does not keep what it is given gets no key', async () => {
    const { openEntry } = scriptedKeychain()
    const forgetful: OpenEntry = async (service, name) => ({
      ...(await openEntry(service, name)),
      read: async () => undefined,
    })
    const { store } = open(newHome(), forgetful)
    await expect(store.write(key, record)).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('does not keep what it is given'),
    })
  })

  test('a keychain that waits for a person is not waited for, and not asked a second time meanwhile', async () => {
    const { entries, asked, openEntry } = scriptedKeychain()
    let unlock = (): void => {}
    const locked = new Promise<void>((resolve) => {
      unlock = resolve
    })
    const prompting: OpenEntry = async (service, name) => {
      const entry = await openEntry(service, name)
      return { ...entry, read: () => (asked.push('prompt'), locked.then(entry.read)) }
    }
    const { store } = open(newHome(), prompting, 'keychain', 100)
    const late = { code: 'store_failed', message: expect.stringMatching(/within 0.1 s.\n.*unlock it/) }
    await expect(store.write(key, record)).rejects.toMatchObject(late)
    await expect(store.write(key, record)).rejects.toMatchObject(late)
    expect(asked).toEqual(['prompt'])
    unlock()
    await expect.poll(() => entries.size).toBe(1)
    await store.write(key, record)
    expect((await store.read(key))?.record).toEqual(record)
  })
})

describe('the files', () => {
  test('show whose record it is and which key opens it, and nothing else', async () => {
    const { store } = open(newHome(), scriptedKeychain().openEntry)
    await store.write(key, record)
    const text = readFileSync(store.locate(key), 'utf8')
    expect(text).not.toContain('canary')
    const { format, version, records } = JSON.parse(text)
    expect({ format, version }).toEqual({ format: 'latchkey-credentials', version: 1 })
    expect(records).toEqual([
      {
        ...key.identity,
        sealed: expect.stringMatching(/^v1\.[\w-]{8}\.[\w-]+$/),
        revision: expect.stringMatching(/^[0-9a-f]{16}$/),
      },
    ])
  })

  test('records in clear are used, and sealed when they are written next', async () => {
    const home = newHome()
    const plain = createFileStore({ home, emit: () => {} })
    const { revision } = await plain.write(key, record)
    const { store } = open(home, scriptedKeychain().openEntry)
    expect(await store.read(key)).toEqual({ key, record, revision })
    expect(await store.list({ kind: 'tokens' })).toEqual([{ key, record, revision }])
    await store.write(key, record, { ifRevision: revision })
    expect(readFileSync(store.locate(key), 'utf8')).not.toContain('canary')
    expect((await store.read(key))?.record).toEqual(record)
  })

  /** Everything that must not work without the key, whoever lacks it. */
  async function leftAlone(home: string, store: ReturnType<typeof createFileStore>, message: RegExp) {
    const path = store.locate(key)
    const before = readFileSync(path, 'utf8')
    const failure = { code: 'store_failed', message: expect.stringMatching(message) }
    await expect(store.read(key)).rejects.toMatchObject(failure)
    for (const ifRevision of [undefined, null, JSON.parse(before).records[0].revision]) {
      const options = ifRevision === undefined ? {} : { ifRevision }
      await expect(store.write(key, record, options)).rejects.toMatchObject({ code: 'store_failed' })
    }
    await expect(store.delete(key)).rejects.toMatchObject({ code: 'store_failed' })
    await expect(store.prepare?.(key)).rejects.toMatchObject({ code: 'store_failed' })
    expect(await store.list({ kind: 'tokens' })).toEqual([])
    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(home).toBeTruthy()
  }

  test('a latchkey without the keychain says so and leaves sealed records alone', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openEntry).store.write(key, record)
    await leftAlone(
      home,
      createFileStore({ home, emit: () => {} }),
      /sealed with the key ".{8}".*--store keychain/s,
    )
  })

  test('a keychain that has another key now: the same', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openEntry).store.write(key, record)
    await leftAlone(home, open(home, scriptedKeychain().openEntry).store, /sealed with the key/)
  })

  test('no keychain any more, and auto: the same', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openEntry).store.write(key, record)
    await leftAlone(home, open(home, noKeychain, 'auto').store, /keychain of the system cannot be used/)
  })

  test('another account beside sealed records is stored in clear by who has no key', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openEntry).store.write(key, record)
    const plain = createFileStore({ home, emit: () => {} })
    const jane = { ...key, account: 'jane' }
    await plain.prepare?.(jane)
    await plain.write(jane, record)
    expect((await plain.read(jane))?.record).toEqual(record)
  })

  test('a record that was copied to another server’s place, or sealed in a later way, is refused', async () => {
    const home = newHome()
    const { store } = open(home, scriptedKeychain().openEntry)
    const other = { ...key, identity: { ...key.identity, server_url: 'https://mcp.example.com/other' } }
    await store.write(key, record)
    await store.write(other, { ...other.identity, access_token: 'other' })
    const path = store.locate(key)
    const document = JSON.parse(readFileSync(path, 'utf8'))
    document.records[1].sealed = document.records[0].sealed
    writeFileSync(path, JSON.stringify(document))
    await expect(store.read(other)).rejects.toMatchObject({ code: 'store_failed' })
    for (const sealed of ['v2.abc.def', 7, null, { a: 1 }]) {
      document.records[1].sealed = sealed
      writeFileSync(path, JSON.stringify(document))
      await expect(store.read(other)).rejects.toMatchObject({ code: 'store_failed' })
      await expect(store.write(other, { ...other.identity })).rejects.toMatchObject({ code: 'store_failed' })
    }
    expect((await store.read(key))?.record).toEqual(record)
  })
})

describe('without a keychain', () => {
  test('keychain: nothing is stored', async () => {
    const home = newHome()
    const { store } = open(home, noKeychain)
    const failure = {
      code: 'store_failed',
      message: expect.stringMatching(/cannot be used.*Secret Service/s),
    }
    await expect(store.prepare?.(key)).rejects.toMatchObject(failure)
    await expect(store.write(key, record)).rejects.toMatchObject(failure)
    expect(await store.read(key)).toBeUndefined()
  })

  test('auto: in clear, with one warning', async () => {
    const { store, codes } = open(newHome(), noKeychain, 'auto')
    await store.prepare?.(key)
    await store.write(key, record)
    await store.write(key, record)
    expect(codes()).toEqual(['keychain_unavailable'])
    expect(readFileSync(store.locate(key), 'utf8')).toContain('canary')
    expect((await store.read(key))?.record).toEqual(record)
  })

  test('the keychain is not asked again at every turn', async () => {
    let asked = 0
    const { store } = open(newHome(), async () => (asked++, noKeychain('', '')), 'auto')
    for (let time = 0; time < 5; time++) await store.write(key, record)
    expect(asked).toBe(1)
  })

  /** A process whose session has no D-Bus at all: the package itself has to find out. */
  const lonely = (kind: string): StoreChild => {
    const home = newHome()
    const env = { PATH: process.env.PATH, HOME: home, DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none` }
    const started = startStoreChild(child.program, ['talk', kind, home, 'unused', 'child'], env)
    onTestFinished(() => void started.process.kill('SIGKILL'))
    return started
  }

  test('a real process with the store keychain fails at once', async () => {
    const answer = (await lonely('keychain').ask('write')) as {
      code: string
      message: string
      duration: number
    }
    expect(answer).toMatchObject({ code: 'store_failed', message: expect.stringContaining('keychain') })
    console.log(`no Secret Service: store_failed after ${answer.duration} ms`)
  })

  test('a real process with the store auto warns and goes on', async () => {
    const process = lonely('auto')
    expect(await process.ask('write')).toMatchObject({ event: { code: 'keychain_unavailable' } })
    expect(await process.next()).toBe('written')
    expect(await process.ask('read')).toBe('of child')
  })
})

requires('secret-service', hasSecretService())('with a real Secret Service', () => {
  let session: Session
  beforeAll(async () => {
    session = await startSession()
  })
  afterAll(() => session.close())

  const start = (...args: string[]): StoreChild => {
    const started = startStoreChild(child.program, args, session.env)
    onTestFinished(() => void started.process.kill('SIGKILL'))
    return started
  }

  test('the whole contract holds', { timeout: 120_000 }, async () => {
    const running = start('contract', 'keychain', newHome(), 'unused')
    for (const { name } of storeContract({ create: createMemoryStore })) {
      expect(await running.next()).toEqual({ name, failure: null })
    }
    expect(await running.ended).toBe(0)
  })

  test('the key outlives its process: another one reads what was sealed', async () => {
    const home = newHome()
    const first = start('talk', 'keychain', home, 'unused', 'first')
    expect(await first.ask('write')).toBe('written')
    first.process.kill('SIGKILL')
    await first.ended
    const path = createFileStore({ home, emit: () => {} }).locate(key)
    expect(await readFile(path, 'utf8')).not.toContain('of first')
    const second = start('talk', 'keychain', home, 'unused', 'second')
    expect(await second.ask('read')).toBe('of first')
  })

  test('it is in the Secret Service, not in the memory of the kernel, and the trial is gone', async () => {
    const home = newHome()
    expect(await start('talk', 'keychain', home, 'unused', 'x').ask('write')).toBe('written')
    const search = spawn('secret-tool', ['search', '--all', 'service', 'latchkey'], { env: session.env })
    let printed = ''
    for (const stream of [search.stdout, search.stderr]) stream.on('data', (chunk) => (printed += chunk))
    await new Promise((resolve) => search.once('close', resolve))
    expect(printed).toContain('key of stored logins')
    expect(printed).not.toContain('trial')
  })

  test('processes that start at once agree on one key', { timeout: 60_000 }, async () => {
    const fresh = await startSession()
    onTestFinished(() => fresh.close())
    const home = newHome()
    const children = Array.from({ length: 5 }, (_, number) =>
      startStoreChild(child.program, ['talk', 'keychain', home, 'unused', String(number)], fresh.env),
    )
    onTestFinished(() => children.forEach((started) => void started.process.kill('SIGKILL')))
    expect(await Promise.all(children.map((started) => started.ask('write')))).toEqual(
      children.map(() => 'written'),
    )
    const read = new Set(await Promise.all(children.map((started) => started.ask('read'))))
    expect(read.size).toBe(1)
    expect([...read][0]).toMatch(/^of \d$/)
  })
})
