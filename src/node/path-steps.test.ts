import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isOpenToOthers, stepsTo, weakStep } from './path-steps.ts'

let folder = ''
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'latchkey-steps-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

const own = process.geteuid?.() ?? 0
/** Somebody who owns nothing here. */
const SOMEBODY_ELSE = 54_321

const names = (path: string) =>
  stepsTo(path)
    .steps.map((step) => step.path)
    .filter((step) => step.startsWith(`${folder}/`))
    .map((step) => step.slice(folder.length + 1))

test('the way goes through every link and all that it leads to', () => {
  mkdirSync(join(folder, 'real/inner'), { recursive: true })
  symlinkSync('real', join(folder, 'relative'))
  symlinkSync(join(folder, 'relative/inner'), join(folder, 'absolute'))
  symlinkSync('../real/inner', join(folder, 'real/up'))
  writeFileSync(join(folder, 'real/inner/file'), '')
  expect(names(join(folder, 'absolute/file'))).toEqual([
    'absolute',
    'relative',
    'real',
    'real/inner',
    'real/inner/file',
  ])
  expect(names(join(folder, 'real/up'))).toEqual(['real', 'real/up', 'real', 'real/inner'])
  expect(stepsTo(join(folder, 'absolute/file')).arrives).toBe(true)
})

test('it ends where nothing is, where a link leads nowhere, and where links go round', () => {
  symlinkSync('absent', join(folder, 'dangling'))
  symlinkSync('round', join(folder, 'round'))
  writeFileSync(join(folder, 'file'), '')
  for (const path of ['absent/x', 'dangling', 'round', 'file/x']) {
    expect(stepsTo(join(folder, path)).arrives).toBe(false)
  }
})

test('a folder above in which every user can rename is weak, also behind a link; the sticky bit closes it', () => {
  mkdirSync(join(folder, 'open/home'), { recursive: true })
  chmodSync(join(folder, 'open'), 0o777)
  symlinkSync('open', join(folder, 'link'))
  for (const path of ['open/home', 'open/absent', 'link/home', 'link/home/below']) {
    expect(weakStep(join(folder, path), own)?.path).toBe(join(folder, 'open'))
  }
  // What stands at the path itself is for others to judge.
  expect(weakStep(join(folder, 'open'), own)).toBeUndefined()
  chmodSync(join(folder, 'open'), 0o1777)
  expect(weakStep(join(folder, 'open/home'), own)).toBeUndefined()
})

test("somebody else's link is weak wherever it stands, one's own is not", () => {
  const link = join(folder, 'link')
  mkdirSync(join(folder, 'real'))
  symlinkSync('real', link)
  expect(weakStep(link, own)).toBeUndefined()
  if (own === 0) lchownSync(link, SOMEBODY_ELSE, SOMEBODY_ELSE)
  const viewer = own === 0 ? 0 : SOMEBODY_ELSE
  expect(weakStep(link, viewer)?.path).toBe(link)
  expect(weakStep(join(link, 'below'), viewer)?.path).toBe(link)
})

test('open to others: every user, or a group that is not the private one of the owner', () => {
  const kind = statSync(folder).mode & 0o170000
  const open = (mode: number, gid: number) =>
    isOpenToOthers(Object.assign(statSync(folder), { mode: kind | mode, uid: 1000, gid }))
  expect(open(0o755, 100)).toBe(false)
  expect(open(0o775, 1000)).toBe(false)
  expect(open(0o775, 100)).toBe(true)
  expect(open(0o757, 1000)).toBe(true)
  expect(open(0o1777, 100)).toBe(false)
})
