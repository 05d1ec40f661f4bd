import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSecretReader } from './secret-reader.ts'

let homedir: string
beforeEach(async () => {
  homedir = await mkdtemp(join(tmpdir(), 'latchkey-secret-'))
})
afterEach(() => rm(homedir, { recursive: true, force: true, maxRetries: 5 }))

const reader = (env: Record<string, string> = {}) =>
  createSecretReader({ env, homedir, platform: process.platform })
const node = (code: string, ...args: string[]) => reader().run([process.execPath, '-e', code, ...args])

test('reads a file anew each time, also below the home', async () => {
  const file = join(homedir, 'secret')
  await writeFile(file, 'one')
  expect(await reader().readFile('~/secret')).toBe('one')
  await writeFile(file, 'two')
  expect(await reader().readFile(file)).toBe('two')
})

test('a folder, and a file larger than any secret, are not read', async () => {
  await mkdir(join(homedir, 'folder'))
  await expect(reader().readFile('~/folder')).rejects.toThrow('not a regular file')
  await writeFile(join(homedir, 'large'), 'x'.repeat(300_000))
  await expect(reader().readFile('~/large')).rejects.toThrow('longer than')
})

test('a pipe that nobody writes to and a device without end give nothing', async () => {
  spawnSync('mkfifo', [join(homedir, 'pipe')])
  await symlink('/dev/zero', join(homedir, 'endless'))
  await expect(reader().readFile('~/pipe')).rejects.toThrow('is a pipe that nobody opened within 2 s')
  await expect(reader().readFile('~/endless')).rejects.toThrow('not a regular file')
})

test('reads a variable of this environment', () => {
  expect(reader({ TOKEN: 'abc' }).readVariable('TOKEN')).toBe('abc')
  expect(reader({}).readVariable('TOKEN')).toBeUndefined()
})

test('a program gets its arguments as they are', async () => {
  const hostile = '$(touch x) `y`; "z" | w'
  expect(await node('process.stdout.write(process.argv[1])', hostile)).toBe(hostile)
})

test('a program that fails, prints too much or is not there gives nothing', async () => {
  await expect(node('process.stdout.write("token"); process.exitCode = 3')).rejects.toThrow('code 3')
  await expect(node('process.stdout.write("x".repeat(1e6))')).rejects.toThrow('256 KB')
  await expect(reader().run([join(homedir, 'missing')])).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a program that reads standard input is not left waiting for a person', async () => {
  expect(await node('process.stdin.on("end", () => process.stdout.write("end")).resume()')).toBe('end')
})
