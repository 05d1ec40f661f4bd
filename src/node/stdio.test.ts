import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStdioTransport } from './stdio.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-stdio-'))
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

test('an env file that is a pipe, a device without end, a folder or not there: an error, and nothing is started', async () => {
  spawnSync('mkfifo', [join(folder, 'pipe')])
  await symlink('/dev/zero', join(folder, 'endless'))
  for (const [name, because] of [
    ['pipe', 'is a pipe that nobody opened within 2 s'],
    ['endless', 'is not a regular file'],
    ['', 'is not a regular file'],
    ['absent', 'could not be read (ENOENT)'],
  ]) {
    const server = {
      kind: 'stdio',
      name: 'a',
      command: 'absent',
      args: [],
      env: {},
      disabled: false,
    } as const
    await expect(
      openStdioTransport({ ...server, envFile: join(folder, name!) }, process.env),
    ).rejects.toMatchObject({
      code: 'config_invalid',
      key: 'mcpServers.a.envFile',
      message: expect.stringContaining(because!),
    })
  }
})
