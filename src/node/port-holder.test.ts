import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findPortHolder } from './port-holder.ts'

describe.runIf(process.platform === 'linux')('on this computer', () => {
  it('names another program that listens', async () => {
    const program = `require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
    const child = spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer]
      // Generous: the machine may be busy with other tests.
      expect(await findPortHolder(Number(line), { timeLimit: 5000 })).toBe(`node (pid ${child.pid})`)
    } finally {
      child.kill()
    }
  })

  it('says so when it is this very process', async () => {
    const server = createServer().listen(0, '::1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect(await findPortHolder(port, { timeLimit: 5000 })).toMatch(
      new RegExp(`^.+ \\(pid ${process.pid}, this very process\\)$`),
    )
    server.close()
    await once(server, 'close')
    expect(await findPortHolder(port)).toBeUndefined()
  })
})

describe('in a /proc of its own', () => {
  let procFolder: string
  const entry = (port: string, state: string, uid: number, inode: number): string =>
    `   0: 0100007F:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`

  beforeEach(async () => {
    procFolder = await mkdtemp(join(tmpdir(), 'latchkey-proc-'))
    await mkdir(join(procFolder, 'net'))
  })
  afterEach(() => rm(procFolder, { recursive: true }))

  async function addProcess(pid: number, name: string, inode: number): Promise<void> {
    await mkdir(join(procFolder, String(pid), 'fd'), { recursive: true })
    await writeFile(join(procFolder, String(pid), 'comm'), name)
    await symlink(`socket:[${inode}]`, join(procFolder, String(pid), 'fd', '3'))
  }

  const find = (port: number, timeLimit = 5000): Promise<string | undefined> =>
    findPortHolder(port, { platform: 'linux', procFolder, timeLimit })

  it('looks at listening sockets only, in both tables', async () => {
    await writeFile(join(procFolder, 'net/tcp'), `header\n${entry('1F90', '01', 1000, 11)}`)
    await addProcess(10, 'connected\n', 11)
    expect(await find(8080)).toBeUndefined()
    await writeFile(join(procFolder, 'net/tcp6'), `header\n${entry('1F90', '0A', 1000, 12)}`)
    await addProcess(20, 'listening\n', 12)
    expect(await find(8080)).toBe('listening (pid 20)')
    expect(await find(8081)).toBeUndefined()
  })

  it('a name made to act on the terminal is shown without its controls', async () => {
    await writeFile(join(procFolder, 'net/tcp'), `header\n${entry('1F90', '0A', 1000, 11)}`)
    await addProcess(10, '\u001b[8mevil\u009b\n', 11)
    expect(await find(8080)).toBe('[8mevil (pid 10)')
  })

  it('says whose program it is when its descriptors may not be read', async () => {
    await writeFile(join(procFolder, 'net/tcp'), `header\n${entry('1F90', '0A', 54321, 11)}`)
    expect(await find(8080)).toBe('a program of another user (uid 54321)')
  })

  it('gives up in time', async () => {
    await writeFile(
      join(procFolder, 'net/tcp'),
      `header\n${entry('1F90', '0A', process.getuid?.() ?? 0, 11)}`,
    )
    await addProcess(10, 'late\n', 11)
    expect(await find(8080, -1)).toBeUndefined()
  })

  it('knows nothing without /proc, and elsewhere', async () => {
    expect(
      await findPortHolder(8080, { platform: 'linux', procFolder: join(procFolder, 'none') }),
    ).toBeUndefined()
    expect(await findPortHolder(8080, { platform: 'darwin', procFolder })).toBeUndefined()
  })
})
