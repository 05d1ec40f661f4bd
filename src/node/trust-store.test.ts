import {
  chmod,
  chown,
  link,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LatchkeyEvent } from '../events.ts'
import { createTrustStore, type TrustStore, whyUntrustworthy } from './trust-store.ts'

let folder = ''
let config = ''
let trustStore: TrustStore
const events: LatchkeyEvent[] = []

const newStore = (): TrustStore =>
  createTrustStore({ home: join(folder, 'home'), emit: (event) => events.push(event) })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-trust-'))
  config = join(folder, 'mcp.json')
  await writeFile(config, '{}', { mode: 0o644 })
  events.length = 0
  trustStore = newStore()
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

test('a file is trusted with exactly the text that was looked at', async () => {
  expect(await trustStore.isTrusted(config, '{}')).toBe(false)
  await trustStore.trust(config, '{}')
  expect(await newStore().isTrusted(config, '{}')).toBe(true)
  expect(await newStore().isTrusted(config, '{ }')).toBe(false)
  await trustStore.trust(config, '{ }')
  expect(await newStore().isTrusted(config, '{ }')).toBe(true)
  expect(await newStore().isTrusted(config, '{}')).toBe(false)
  expect(await trustStore.list()).toHaveLength(1)
})

test('asking leaves nothing behind', async () => {
  await trustStore.isTrusted(config, '{}')
  await trustStore.forget(config)
  expect(await readdir(folder)).toEqual(['mcp.json'])
})

test('the same text elsewhere is not trusted; a link to the trusted file is', async () => {
  await trustStore.trust(config, '{}')
  const copy = join(folder, 'copy.json')
  await writeFile(copy, '{}')
  expect(await trustStore.isTrusted(copy, '{}')).toBe(false)
  await symlink(config, join(folder, 'link.json'))
  expect(await trustStore.isTrusted(join(folder, 'link.json'), '{}')).toBe(true)
})

test('a link that is turned to another file afterwards is not trusted', async () => {
  const link = join(folder, 'link.json')
  await symlink(config, link)
  await trustStore.trust(link, '{}')
  await writeFile(join(folder, 'other.json'), '{}')
  await rm(link)
  await symlink(join(folder, 'other.json'), link)
  expect(await trustStore.isTrusted(link, '{}')).toBe(false)
})

test('a file that every user can write cannot be trusted, and loses trust when it becomes so', async () => {
  await trustStore.trust(config, '{}')
  await chmod(config, 0o666)
  expect(await trustStore.isTrusted(config, '{}')).toBe(false)
  await expect(trustStore.trust(config, '{}')).rejects.toMatchObject({
    code: 'config_untrusted',
    path: config,
    remedy: expect.stringContaining(`chmod o-w ${config}`),
  })
})

test('a file that moved is not trusted at its new place, and its old name gives nothing to another', async () => {
  await trustStore.trust(config, '{}')
  const moved = join(folder, 'moved.json')
  await rename(config, moved)
  expect(await trustStore.isTrusted(moved, '{}')).toBe(false)
  await writeFile(config, '{"evil":1}')
  expect(await trustStore.isTrusted(config, '{"evil":1}')).toBe(false)
})

test('a list that others may have written, or that is a link or has a second name, trusts nothing', async () => {
  const list = join(folder, 'home', 'trust.json')
  await trustStore.trust(config, '{}')
  const refused = expect.objectContaining({ code: 'store_failed' })
  await chmod(list, 0o666)
  await expect(trustStore.isTrusted(config, '{}')).rejects.toEqual(refused)
  await chmod(list, 0o600)
  await link(list, join(folder, 'second'))
  await expect(trustStore.isTrusted(config, '{}')).rejects.toEqual(refused)
  await rm(list)
  await symlink(join(folder, 'second'), list)
  await expect(trustStore.isTrusted(config, '{}')).rejects.toEqual(refused)
})

test('entries that say nothing of a file, or only by inheritance, trust nothing', async () => {
  await trustStore.trust(config, '{}')
  const list = join(folder, 'home', 'trust.json')
  const entry = JSON.stringify(JSON.parse(await readFile(list, 'utf8')).files[0])
  const files = `[null, 1, [], {"path": ${JSON.stringify(config)}}, {"__proto__": ${entry}}]`
  await writeFile(list, `{"format": "latchkey-trust", "version": 1, "files": ${files}}`)
  expect(await trustStore.isTrusted(config, '{}')).toBe(false)
  expect(await trustStore.list()).toEqual([])
})

test("another user's file cannot be trusted; root's can", async () => {
  expect(await whyUntrustworthy('/', 54_321)).toBeUndefined()
  const own = process.geteuid?.() ?? 0
  if (own === 0) await chown(config, 54_321, 54_321)
  expect(await whyUntrustworthy(config, own === 0 ? 0 : own + 1)).toMatch(/^belongs to user/)
  if (own === 0) {
    await expect(trustStore.trust(config, '{}')).rejects.toMatchObject({ code: 'config_untrusted' })
  }
})

test('forgetting: also of a file that is gone', async () => {
  const other = join(folder, 'other.json')
  await writeFile(other, '{}')
  await trustStore.trust(config, '{}')
  await trustStore.trust(other, '{}')
  await rm(config)
  expect(await trustStore.forget(config)).toBe(true)
  expect(await trustStore.forget(config)).toBe(false)
  expect((await trustStore.list()).map(({ path }) => path)).toEqual([other])
})

test('trusted at the same time by several processes: all are remembered', async () => {
  const names = Array.from({ length: 10 }, (_, n) => join(folder, `${n}.json`))
  await Promise.all(names.map((name) => writeFile(name, '{}')))
  await Promise.all(names.map((name) => newStore().trust(name, '{}')))
  expect((await trustStore.list()).map(({ path }) => path).sort()).toEqual(names.sort())
})

test('a damaged list is set aside and trusts nothing; a later version is left alone', async () => {
  await trustStore.trust(config, '{}')
  const list = join(folder, 'home', 'trust.json')
  expect(JSON.parse(await readFile(list, 'utf8'))).toMatchObject({ format: 'latchkey-trust', version: 1 })
  await writeFile(list, '{"format":"latchkey-trust",')
  expect(await trustStore.isTrusted(config, '{}')).toBe(false)
  expect(events.map((event) => event.type === 'warning' && event.code)).toEqual(['store_file_set_aside'])
  await writeFile(join(folder, 'later'), '{"format":"latchkey-trust","version":2}', { mode: 0o600 })
  await rename(join(folder, 'later'), list)
  await expect(trustStore.isTrusted(config, '{}')).rejects.toMatchObject({ code: 'store_failed' })
})
