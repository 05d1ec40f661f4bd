import { spawnSync } from 'node:child_process'
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serverDomain } from '../credentials/identity.ts'
import type { LatchkeyEvent } from '../events.ts'
import type { CredentialKey, CredentialStore } from '../ports.ts'
import { createFileStore } from './file-store.ts'
import { recordLock } from './store-folder-layout.ts'

let folder = ''
let home = ''
let events: LatchkeyEvent[] = []
let store: CredentialStore

const newStore = (): CredentialStore =>
  createFileStore({ home, emit: (event) => events.push(event), staleAfter: 300 })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-hostile-'))
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

/** Reading and writing fail with a code and a reason that names the file, and leave it as it is. */
async function expectRefusal(key: CredentialKey, because: RegExp): Promise<void> {
  for (const act of [() => store.read(key), () => save(key, 'new')]) {
    await expect(act()).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringMatching(because),
    })
  }
}

describe('S19: the document itself', () => {
  test('with a second name (hard link): not read, not written through, its mode not changed', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    const other = join(folder, 'other name')
    await chmod(path, 0o644)
    await link(path, other)
    const before = await readFile(other, 'utf8')
    await expectRefusal(tokens(), /second name \(a hard link\)/)
    expect(await readFile(other, 'utf8')).toBe(before)
    expect((await stat(other)).mode & 0o777).toBe(0o644)
  })

  test.each(['0666', '0622', '0777'])(
    'that others may have written (mode %s): what it says is not believed',
    async (octal) => {
      const mode = Number.parseInt(octal, 8)
      await save(tokens())
      const path = store.locate(tokens())
      await chmod(path, mode)
      await expectRefusal(tokens(), /can be written by other users \(mode \d+\)/)
      expect((await stat(path)).mode & 0o777).toBe(mode)
      // The remedy, once the person has looked.
      await chmod(path, 0o600)
      expect(await token(tokens())).toBe('secret')
    },
  )

  test('as a socket or an endless file: refused at once', async () => {
    await save(tokens())
    const path = store.locate(tokens())
    await truncate(path, 65 * 1024 * 1024)
    await expectRefusal(tokens(), /is longer than 65536 KB/)
    await rm(path)
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(path, resolve))
    await chmod(path, 0o600)
    await expect(store.read(tokens())).rejects.toMatchObject({ code: 'store_failed' })
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('S19: where the store is', () => {
  test.each(['home', 'absent/home'])(
    'in a folder where every user can exchange things: nothing is stored (%s)',
    async (name) => {
      const shared = join(folder, 'shared')
      await mkdir(shared)
      await chmod(shared, 0o777)
      home = join(shared, name)
      store = newStore()
      await expectRefusal(tokens(), /shared, where every user can exchange it/)
      expect(await readdir(shared)).toEqual([])
    },
  )

  test('reached by a link through such a folder: nothing is stored', async () => {
    const shared = join(folder, 'shared')
    await mkdir(join(shared, 'real'), { recursive: true, mode: 0o700 })
    await chmod(shared, 0o777)
    await symlink(join(shared, 'real'), join(folder, 'link'))
    home = join(folder, 'link', 'home')
    store = newStore()
    await expectRefusal(tokens(), /where every user can exchange it/)
    expect(await readdir(join(shared, 'real'))).toEqual([])
  })

  test('in a folder with the sticky bit, as /tmp is: works', async () => {
    const shared = join(folder, 'shared')
    await mkdir(shared)
    await chmod(shared, 0o1777)
    home = join(shared, 'home')
    store = newStore()
    await save(tokens())
    expect(await token(tokens())).toBe('secret')
  })

  test.each([
    ['tokens', tokens()],
    ['tokens/mcp.example.com', tokens(undefined, 'jane')],
    ['tokens/registrations', { ...tokens(), kind: 'registrations' as const }],
    ['tokens/mcp.example.com.json.lock', tokens()],
  ])('a link in place of the folder %s leads nowhere', async (name, of) => {
    const key =
      of.kind === 'registrations'
        ? {
            ...of,
            identity: { issuer: 'https://as.example.com', redirect_uri: 'http://localhost:1/callback' },
          }
        : of
    const elsewhere = join(folder, 'elsewhere')
    await mkdir(elsewhere, { mode: 0o700 })
    await mkdir(dirname(join(home, name)), { recursive: true, mode: 0o700 })
    await symlink(elsewhere, join(home, name))
    await expect(save(key)).rejects.toMatchObject({ code: 'store_failed' })
    expect(await readdir(elsewhere)).toEqual([])
  })

  test('a .gitignore that is a link is neither written through nor in the way', async () => {
    await mkdir(join(home, 'tokens'), { recursive: true, mode: 0o700 })
    await symlink(join(folder, 'target'), join(home, 'tokens', '.gitignore'))
    await save(tokens())
    await expect(lstat(join(folder, 'target'))).rejects.toThrow('ENOENT')
    expect(await token(tokens())).toBe('secret')
  })
})

describe('S19: locks and temporary files', () => {
  const documentLock = () => join(`${store.locate(tokens())}.lock`, 'document')

  test.each<[string, (path: string) => Promise<unknown>]>([
    ['a link that leads nowhere', (path) => symlink('absent', path)],
    [
      'a link to a file',
      async (path) => {
        await writeFile(join(folder, 'target'), 'precious')
        await symlink(join(folder, 'target'), path)
      },
    ],
    ['a folder', (path) => mkdir(path)],
    ['a pipe', async (path) => void spawnSync('mkfifo', [path])],
  ])(
    '%s as a lock is waited for no longer than a dead holder',
    async (_, plant) => {
      await save(tokens())
      await plant(`${documentLock()}.900`)
      await plant(`${recordLock(home, tokens())}.900`)
      await (await store.lock(tokens())).release()
      await save(tokens(), 'new')
      expect(await token(tokens())).toBe('new')
      const target = await readFile(join(folder, 'target'), 'utf8').catch(() => 'precious')
      expect(target).toBe('precious')
    },
    20_000,
  )

  test('a lock with the last number there is: an error that names it, and no endless search', async () => {
    await save(tokens())
    const last = `${documentLock()}.999999999999999`
    await writeFile(last, '')
    await expect(save(tokens(), 'new')).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining(last),
    })
  })

  test('a pipe or a second name in place of the reserved room is not written to', async () => {
    await save(tokens())
    for (const plant of ['pipe', 'second name']) {
      const room = await store.reserve!(tokens())
      const work = dirname(documentLock())
      const reserved = (await readdir(work)).find((name) => name.endsWith('.room'))!
      if (plant === 'pipe') {
        await rm(join(work, reserved))
        spawnSync('mkfifo', ['-m', '600', join(work, reserved)])
      } else {
        await link(join(work, reserved), join(folder, 'second'))
      }
      await expect(room.write({ ...tokens().identity, access_token: 'canary' }, {})).rejects.toMatchObject({
        code: 'store_failed',
      })
      await room.release()
    }
    expect(await readFile(join(folder, 'second'), 'latin1')).not.toContain('canary')
    expect(await token(tokens())).toBe('secret')
  })
})
