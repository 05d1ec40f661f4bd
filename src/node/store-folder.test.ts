import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LatchkeyEvent } from '../events.ts'
import { createStoreFolder } from './store-folder.ts'

let outer = ''
let home = ''
const events: LatchkeyEvent[] = []
const emit = (event: LatchkeyEvent): void => void events.push(event)
beforeEach(async () => {
  outer = await mkdtemp(join(tmpdir(), 'latchkey-folder-'))
  home = join(outer, 'home')
  events.length = 0
})
afterEach(() => rm(outer, { recursive: true, force: true, maxRetries: 5 }))

/** Sees every file here as somebody else's. */
const asSomebodyElse = () => createStoreFolder({ home, emit, uid: 54_321 })
const asOwner = () => createStoreFolder({ home, emit })

test("somebody else's file is not read, somebody else's folder not used", async () => {
  await asOwner().ensure(join(home, 'tokens'))
  await asOwner().create(join(home, 'tokens', 'a.json'), '{}')
  const failed = expect.objectContaining({
    code: 'store_failed',
    message: expect.stringContaining('belongs to'),
  })
  await expect(asSomebodyElse().read(join(home, 'tokens', 'a.json'))).rejects.toEqual(failed)
  await expect(asSomebodyElse().exists(join(home, 'tokens'))).rejects.toEqual(failed)
  await expect(asSomebodyElse().ensure(join(home, 'tokens'))).rejects.toEqual(failed)
})

test('a file is created only under a free name, and a link there is not followed', async () => {
  const folder = asOwner()
  await folder.ensure(home)
  const file = join(home, 'a')
  expect(await folder.create(file, 'first')).toBe(true)
  expect(await folder.create(file, 'second')).toBe(false)
  expect(await readFile(file, 'utf8')).toBe('first')
  await symlink(join(outer, 'target'), join(home, 'link'))
  expect(await folder.create(join(home, 'link'), 'x')).toBe(false)
  await expect(stat(join(outer, 'target'))).rejects.toThrow('ENOENT')
})

test('parents of the home are created as private as the home', async () => {
  home = join(outer, 'a', 'b')
  await asOwner().ensure(join(home, 'tokens'))
  for (const path of [join(outer, 'a'), home, join(home, 'tokens')]) {
    expect((await stat(path)).mode & 0o777).toBe(0o700)
  }
})

test('a sticky folder of root, such as /tmp, may be the home: nobody can exchange what is ours in it', async () => {
  const isRoot = process.geteuid?.() === 0
  if (isRoot) {
    await mkdir(home)
    await chmod(home, 0o1777)
  } else {
    home = '/tmp'
  }
  expect(await asOwner().exists(home)).toBe(true)
  expect((await stat(home)).mode & 0o7777).toBe(0o1777)
  expect(events).toEqual([])
})

test('on a system without users (Windows) owners and modes are not judged', async () => {
  await mkdir(join(home, 'tokens'), { recursive: true })
  await chmod(join(home, 'tokens'), 0o755)
  await writeFile(join(home, 'tokens', 'a.json'), '{}', { mode: 0o644 })
  const folder = createStoreFolder({ home, emit, uid: undefined })
  expect(await folder.exists(join(home, 'tokens'))).toBe(true)
  expect(await folder.read(join(home, 'tokens', 'a.json'))).toBeDefined()
  expect((await stat(join(home, 'tokens'))).mode & 0o777).toBe(0o755)
  expect(events).toEqual([])
})
