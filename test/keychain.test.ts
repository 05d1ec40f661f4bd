import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createMemoryStore } from '../src/credentials/memory-store.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { createKeychainFileStore } from '../src/keychain-store.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialKey } from '../src/ports.ts'
import type { OpenKeychain } from '../src/stores/keychain-port.ts'
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
  const openKeychain: OpenKeychain = () => ({
    async read(name) {
      asked.push(`read ${name}`)
      return entries.get(name)
    },
    async write(name, text) {
      asked.push(`write ${name}`)
      entries.set(name, text)
    },
    async delete(name) {
      asked.push(`delete ${name}`)
      entries.delete(name)
    },
    close: () => void asked.push('close'),
  })
  return { entries, asked, openKeychain }
}

function open(
  home: string,
  openKeychain: OpenKeychain,
  mode: 'auto' | 'keychain' = 'keychain',
  patience = 3000,
) {
  const events: LatchkeyEvent[] = []
  const emit = (event: LatchkeyEvent): void => void events.push(event)
  const store = createKeychainFileStore({ home, emit, mode, openKeychain, patience })
  return { store, codes: () => events.map((event) => (event.type === 'warning' ? event.code : event.type)) }
}

const noKeychain: OpenKeychain = () => {
  throw new Error('org.freedesktop.DBus.Error.ServiceUnknown')
}

describe('the key', () => {
  test('is made after a trial, and asked for once', async () => {
    const { asked, openKeychain } = scriptedKeychain()
    const { store } = open(newHome(), openKeychain)
    expect(asked).toEqual([])
    await store.write(key, record)
    for (let time = 0; time < 3; time++) await store.read(key)
    const name = 'key of stored logins'
    expect(asked).toEqual([
      ...[`read ${name}`, `read ${name}`],
      ...['write trial', 'read trial', 'delete trial'],
      ...[`write ${name}`, `read ${name}`, 'close'],
    ])
  })

  test('is the same for all stores that start at once', async () => {
    const home = newHome()
    const { openKeychain } = scriptedKeychain()
    /** All look at the same time, and each writes at a time of its own: without a lock each would go on with its own key. */
    const slow =
      (delay: number): OpenKeychain =>
      (service) => {
        const keychain = openKeychain(service)
        const pause = (time: number) => new Promise((resolve) => setTimeout(resolve, time))
        return {
          ...keychain,
          read: async (name) => {
            const text = await keychain.read(name)
            await pause(10)
            return text
          },
          write: (name, text) => pause(delay).then(() => keychain.write(name, text)),
        }
      }
    const accounts = Array.from({ length: 6 }, (_, number) => ({ ...key, account: `account ${number}` }))
    await Promise.all(accounts.map((one, number) => open(home, slow(number * 30)).store.write(one, record)))
    const { store } = open(home, openKeychain)
    for (const one of accounts) expect((await store.read(one))?.record).toEqual(record)
  })

  test('a keychain that does not keep what it is given gets no key', async () => {
    const { openKeychain } = scriptedKeychain()
    const forgetful: OpenKeychain = (service) => ({ ...openKeychain(service), read: async () => undefined })
    const { store } = open(newHome(), forgetful)
    await expect(store.write(key, record)).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('does not keep what it is given'),
    })
  })

  test('a keychain that waits for a person is not waited for, and not asked a second time meanwhile', async () => {
    const { asked, openKeychain } = scriptedKeychain()
    const prompting: OpenKeychain = (service) => ({
      ...openKeychain(service),
      read: () => {
        asked.push('prompt')
        return new Promise(() => {})
      },
    })
    const { store } = open(newHome(), prompting, 'keychain', 100)
    const late = { code: 'store_failed', message: expect.stringMatching(/within 0.1 s.\n.*unlock it/) }
    await expect(store.write(key, record)).rejects.toMatchObject(late)
    await expect(store.write(key, record)).rejects.toMatchObject(late)
    expect(asked).toEqual(['prompt', 'close'])
  })
})

describe('the files', () => {
  test('show whose record it is and which key opens it, and nothing else', async () => {
    const { store } = open(newHome(), scriptedKeychain().openKeychain)
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
    const { store } = open(home, scriptedKeychain().openKeychain)
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
    await open(home, scriptedKeychain().openKeychain).store.write(key, record)
    await leftAlone(
      home,
      createFileStore({ home, emit: () => {} }),
      /sealed with the key ".{8}".*--store keychain/s,
    )
  })

  test('a keychain that has another key now: the same', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openKeychain).store.write(key, record)
    await leftAlone(home, open(home, scriptedKeychain().openKeychain).store, /sealed with the key/)
  })

  test('no keychain any more, and auto: the same', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openKeychain).store.write(key, record)
    await leftAlone(home, open(home, noKeychain, 'auto').store, /keychain of the system cannot be used/)
  })

  test('a listing leaves out what cannot be opened, with a warning, and nothing else', async () => {
    const home = newHome()
    const plain = { ...key, identity: { ...key.identity, server_url: 'https://mcp.example.com/plain' } }
    await open(home, scriptedKeychain().openKeychain).store.write(key, record)
    const events: LatchkeyEvent[] = []
    const store = createFileStore({ home, emit: (event) => void events.push(event) })
    await store.write(plain, { ...plain.identity, access_token: 'plain' })
    expect((await store.list({ kind: 'tokens' })).map((stored) => stored.key)).toEqual([plain])
    expect(events).toMatchObject([
      { code: 'record_does_not_fit', message: expect.stringMatching(/left out: .*sealed with the key/) },
    ])
  })

  test('another account beside sealed records is stored in clear by who has no key', async () => {
    const home = newHome()
    await open(home, scriptedKeychain().openKeychain).store.write(key, record)
    const plain = createFileStore({ home, emit: () => {} })
    const jane = { ...key, account: 'jane' }
    await plain.prepare?.(jane)
    await plain.write(jane, record)
    expect((await plain.read(jane))?.record).toEqual(record)
  })

  test('a record that was copied to another server’s place, or sealed in a later way, is refused', async () => {
    const home = newHome()
    const { store } = open(home, scriptedKeychain().openKeychain)
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
    const counted: OpenKeychain = (service) => {
      asked += 1
      return noKeychain(service)
    }
    const { store } = open(newHome(), counted, 'auto')
    for (let time = 0; time < 5; time++) await store.write(key, record)
    expect(asked).toBe(1)
  })

  /** A process whose session has no D-Bus at all: the package itself has to find out. */
  const lonely = (kind: string, role = 'talk', bus = '/nowhere'): StoreChild => {
    const home = newHome()
    const env = { PATH: process.env.PATH, HOME: home, DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}` }
    const started = startStoreChild(child.program, [role, kind, home, 'unused', 'child'], { env })
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

  // The package would take the kernel's keyring instead, which forgets everything with a restart.
  test('nothing is taken in place of a Secret Service', async () => {
    expect(await lonely('keychain', 'entry').next()).toContain('DBus error')
  })

  test('a bus that takes the call and never answers is not waited for', async () => {
    const bus = join(folder.path, 'bus')
    const sockets = new Set<Socket>()
    const server = createServer((socket) => void sockets.add(socket.on('error', () => {})))
    server.listen(bus)
    await once(server, 'listening')
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    expect(await lonely('keychain', 'talk', bus).ask('write')).toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('did not answer within 3 s'),
    })
    expect(sockets.size).toBe(1)
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
    const started = startStoreChild(child.program, args, { env: session.env })
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
      startStoreChild(child.program, ['talk', 'keychain', home, 'unused', String(number)], {
        env: fresh.env,
      }),
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
