import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readNamedFile, readPlainFile, UnfitFileError } from './plain-file.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-plain-'))
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

const read = (path: string, limit = 1_000_000) => readPlainFile(path, { limit })

test('reads all of a file that is longer than one read', async () => {
  const path = join(folder, 'file')
  const bytes = Buffer.alloc(200_000, 'latchkey')
  await writeFile(path, bytes)
  expect(Buffer.compare((await read(path)).bytes, bytes)).toBe(0)
  expect((await read(path, 200_000)).bytes).toHaveLength(200_000)
  await expect(read(path, 199_999)).rejects.toThrow('is longer than')
})

test('a pipe that nobody writes to, a device without end, a folder: refused at once', async () => {
  const pipe = join(folder, 'pipe')
  spawnSync('mkfifo', [pipe])
  await symlink('/dev/zero', join(folder, 'endless'))
  await mkdir(join(folder, 'folder'))
  for (const name of ['pipe', 'endless', 'folder']) {
    await expect(read(join(folder, name))).rejects.toThrow(UnfitFileError)
  }
})

describe('a pipe that the user named', () => {
  /** A shell that writes, and pauses as long as nobody lets it go on. */
  const writer = (pipe: string, script: string) =>
    spawn('sh', ['-c', `exec 3>"$1"; ${script}`, 'sh', pipe], { stdio: ['pipe', 'inherit', 'inherit'] })
  const pipe = () => {
    const path = join(folder, 'pipe')
    spawnSync('mkfifo', [path])
    return path
  }
  const named = async (path: string, limit = 1_000_000) =>
    new TextDecoder().decode((await readNamedFile(path, { limit })).bytes)

  test('is read to its end, although its writer comes later and writes in pieces', async () => {
    const path = pipe()
    const reading = named(path)
    const shell = writer(path, 'printf one >&3; read line; printf two >&3')
    shell.stdin.end('go on\n')
    expect(await reading).toBe('onetwo')
  })

  test('has a limit, as files have', async () => {
    const path = pipe()
    writer(path, 'head -c 100000 /dev/zero >&3')
    await expect(named(path, 70_000)).rejects.toThrow('is longer than 68 KB')
  })

  test('nobody opens: an error that says so', async () => {
    await expect(named(pipe())).rejects.toThrow('is a pipe that nobody opened within 2 s')
  })
})

test('a socket is an error of the system, not a file', async () => {
  const path = join(folder, 'socket')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path, resolve))
  await expect(read(path)).rejects.toThrow()
  await new Promise((resolve) => server.close(resolve))
})

test.runIf(existsSync('/proc/self/maps'))(
  'a file that says it is empty and is not, as those of /proc are, is measured by what comes',
  async () => {
    await expect(read('/proc/self/maps', 10)).rejects.toThrow(UnfitFileError)
  },
)

test('a link is followed only where that is asked for', async () => {
  await writeFile(join(folder, 'target'), 'x')
  await symlink('target', join(folder, 'link'))
  expect((await read(join(folder, 'link'))).bytes).toHaveLength(1)
  await expect(readPlainFile(join(folder, 'link'), { limit: 10, followsLinks: false })).rejects.toThrow(
    'ELOOP',
  )
})
