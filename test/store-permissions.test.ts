import { spawnSync } from 'node:child_process'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requires } from './requires.ts'
import { buildStoreChild, temporaryFolder } from './store-program.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let program = ''

beforeAll(async () => {
  folder = await temporaryFolder()
  program = await buildStoreChild(folder.path)
})
afterAll(() => folder.remove())

/** Everything the store does, in a process with this umask; `prefix` runs it under another program. */
function liveUnder(umask: string, home: string, prefix: readonly string[] = []): void {
  const config = join(folder.path, 'config.json')
  writeFileSync(config, '{}', { mode: 0o600 })
  const command = [...prefix, process.execPath, program, 'whole-life', home, config]
  const { status, stderr } = spawnSync('sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', ...command], {
    // So that every call is one that strace sees.
    env: { ...process.env, UV_USE_IO_URING: '0' },
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
}

describe.each(['000', '022', '077'])('under umask %s', (umask) => {
  test('[REF-01] [STORE-01] every folder is 0700 and every file 0600', () => {
    const home = join(folder.path, `plain-${umask}`)
    liveUnder(umask, home)
    const modes = readdirSync(home, { recursive: true, withFileTypes: true }).map((entry) => {
      const { mode } = statSync(join(entry.parentPath, entry.name))
      return { name: entry.name, isRight: (mode & 0o777) === (entry.isDirectory() ? 0o700 : 0o600) }
    })
    expect(modes.length).toBeGreaterThan(10)
    expect(modes.filter(({ isRight }) => !isRight)).toEqual([])
    expect(statSync(home).mode & 0o777).toBe(0o700)
  })
})

/** A call of the trace that names a path below the home: `openat`, its arguments. */
interface Call {
  name: string
  args: string
}

async function traceOf(umask: string): Promise<Call[]> {
  const home = join(folder.path, `traced-${umask}`)
  const trace = join(folder.path, `trace-${umask}`)
  // `fchmod` takes a descriptor and is not one of %file; -y shows the path of a descriptor.
  liveUnder(umask, home, ['strace', '-f', '-y', '-e', 'trace=%file,fchmod', '-o', trace])
  const calls = (await readFile(trace, 'utf8')).matchAll(/^\d+ +(\w+)\((.*)$/gm)
  return [...calls]
    .map(([, name = '', args = '']) => ({ name, args }))
    .filter(({ args }) => args.includes(home))
}

const hasStrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0

requires('strace', hasStrace)('as strace sees it', () => {
  test.each(['000', '022'])(
    '[STORE-01] umask %s: private from the first byte, and never by a later chmod',
    async (umask) => {
      const calls = await traceOf(umask)
      const creations = calls.filter(({ args }) => args.includes('O_CREAT'))
      expect(creations.length).toBeGreaterThan(10)
      expect(creations.filter(({ args }) => !/O_EXCL.*, 0600\b/.test(args))).toEqual([])

      const folders = calls.filter(({ name }) => name.startsWith('mkdir'))
      expect(folders.length).toBeGreaterThan(4)
      expect(folders.filter(({ args }) => !/, 0700\b/.test(args))).toEqual([])

      const others = [
        'creat',
        'chmod',
        'fchmod',
        'fchmodat',
        'fchmodat2',
        'mknod',
        'mknodat',
        'chown',
        'fchownat',
      ]
      expect(calls.filter(({ name }) => others.includes(name))).toEqual([])
    },
  )
})
