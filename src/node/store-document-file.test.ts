import { writeFileSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from './clock.ts'
import { createGenerationLocks, type GenerationLocks } from './generation-lock.ts'
import type { DocumentCodec } from './store-document.ts'
import { type DocumentFile, lockFolder, openDocument } from './store-document-file.ts'
import { createStoreFolder } from './store-folder.ts'

/** A list of words, one per line. */
const codec: DocumentCodec<string[]> = {
  encode: (words) => words.join('\n'),
  decode: (text) => ({ state: 'ours', document: text.split('\n') }),
}

let home = ''
let path = ''
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-document-'))
  path = join(home, 'words')
})
afterEach(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))

/** Each stands for a process. */
function newProcess(
  wrap: (locks: GenerationLocks) => GenerationLocks = (locks) => locks,
): DocumentFile<string[]> {
  const locks = wrap(createGenerationLocks({ clock: systemClock, staleAfter: 300 }))
  return openDocument(path, codec, {
    folder: createStoreFolder({ home, emit: () => {} }),
    locks,
    emit: () => {},
  })
}

const add =
  (word: string) =>
  (words: string[] = []): string[] => [...words, word]

/** Takes every lock over at a moment that `when` names, and writes meanwhile. */
function pausedAt(when: 'before the check' | 'after the check', meanwhile: () => Promise<void>) {
  let pauses = 1
  return (locks: GenerationLocks): GenerationLocks => ({
    async acquire(name, options) {
      const lease = await locks.acquire(name, options)
      return {
        release: () => lease.release(),
        async isHeld() {
          if (pauses-- <= 0) return lease.isHeld()
          const before = await lease.isHeld()
          // Another process has waited long enough: it creates the next generation.
          await writeFile(join(lockFolder(path), 'document.2'), '')
          await meanwhile()
          return when === 'after the check' ? before : lease.isHeld()
        },
      }
    },
  })
}

test('who was paused before the last check of the lock starts again from what was written meanwhile', async () => {
  const meanwhile = async () => void (await newProcess().update(add('newer')))
  await newProcess(pausedAt('before the check', meanwhile)).update(add('late'))
  expect(await newProcess().read()).toEqual(['newer', 'late'])
})

test('who was paused after the last check cannot overwrite either: its temporary file is gone', async () => {
  const meanwhile = async () => void (await newProcess().update(add('newer')))
  await newProcess(pausedAt('after the check', meanwhile)).update(add('late'))
  expect(await newProcess().read()).toEqual(['newer', 'late'])
})

test('who was paused before it wrote its temporary file finds out by the check', async () => {
  let calls = 0
  await newProcess().update((words) => {
    calls += 1
    if (calls === 1) {
      writeFileSync(join(lockFolder(path), 'document.2'), '')
      writeFileSync(path, 'newer', { mode: 0o600 })
    }
    return add('late')(words)
  })
  expect(calls).toBe(2)
  expect(await newProcess().read()).toEqual(['newer', 'late'])
})

test('a change that throws leaves file and lock as they were', async () => {
  const file = newProcess()
  await file.update(add('one'))
  const refuse = (): never => {
    throw new Error('refused')
  }
  await expect(file.update(refuse)).rejects.toThrow('refused')
  await file.update(add('two'))
  expect(await file.read()).toEqual(['one', 'two'])
})

test('a change that returns nothing writes nothing', async () => {
  const file = newProcess()
  await file.update(() => undefined)
  await expect(readFile(path)).rejects.toThrow('ENOENT')
  expect(dirname(path)).toBe(home)
})

/** Does something between the last look at the lock and the rename, where nothing is looked at any more but the folder. */
const beforeRename = (act: () => Promise<unknown>) =>
  newProcess((locks) => ({
    async acquire(name, options) {
      const lease = await locks.acquire(name, options)
      return {
        release: () => lease.release(),
        async isHeld() {
          const isHeld = await lease.isHeld()
          await act()
          return isHeld
        },
      }
    },
  }))

test('a link that is put at the path at the last moment is replaced itself, not what it leads to', async () => {
  const target = join(home, 'target')
  await writeFile(target, 'precious')
  await beforeRename(() => symlink(target, path)).update(add('one'))
  expect(await readFile(target, 'utf8')).toBe('precious')
  expect((await lstat(path)).isSymbolicLink()).toBe(false)
  expect(await newProcess().read()).toEqual(['one'])
})

test.each(['a link', 'another folder'])(
  'a folder that is exchanged for %s at the last moment: the write fails, and nothing is in the other place',
  async (kind) => {
    path = join(home, 'tokens', 'words')
    const tokens = dirname(path)
    const elsewhere = join(home, 'elsewhere')
    await mkdir(join(elsewhere, 'words.lock'), { recursive: true, mode: 0o700 })
    const exchange = async () => {
      await rename(tokens, `${tokens}.away`)
      if (kind === 'a link') await symlink(elsewhere, tokens)
      else await rename(elsewhere, tokens)
    }
    await expect(beforeRename(exchange).update(add('one'))).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('was exchanged'),
    })
    expect(await readdir(tokens)).toEqual(['words.lock'])
    expect(await readdir(`${tokens}.away`)).toEqual(['words.lock'])
  },
)
