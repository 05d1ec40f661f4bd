import { spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfigSources } from './config-sources.ts'
import { type PathEnvironment, userConfigFile } from './paths.ts'
import { createTrustStore, type TrustStore } from './trust-store.ts'

let folder = ''
let project = ''
let environment: PathEnvironment
let trustStore: TrustStore

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-sources-'))
  project = join(folder, 'project')
  await mkdir(project)
  environment = { env: {}, homedir: join(folder, 'home'), platform: 'linux' }
  trustStore = createTrustStore({ home: join(folder, 'store'), emit: () => {} })
  const own = userConfigFile(environment)
  await mkdir(dirname(own), { recursive: true })
  await writeFile(own, '{"mcpServers":{}}')
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

const sources = (flag?: string) =>
  readConfigSources({ environment, trustStore, workingDirectory: project, flag })

const OBSTACLES: [string, (path: string) => Promise<unknown>][] = [
  ['a pipe that nobody writes to', async (path) => void spawnSync('mkfifo', [path])],
  ['a link to a device without end', (path) => symlink('/dev/zero', path)],
  ['a link to itself', (path) => symlink('mcp.json', path)],
  ['a folder', (path) => mkdir(path)],
  ['bytes that are not text', (path) => writeFile(path, Buffer.from([0xff, 0xfe]))],
  ['a file', (path) => writeFile(path, '{"mcpServers":{"evil":{"command":"evil"}}}')],
]

test.each(OBSTACLES)(
  '%s in the working directory, left by anybody: not used, and nothing hangs or fails',
  async (_, put) => {
    const path = join(project, 'mcp.json')
    await put(path)
    const { files, untrusted } = await sources()
    expect(files.map((file) => file.path)).toEqual([userConfigFile(environment)])
    expect(untrusted).toBe(path)
  },
)

test.each(OBSTACLES.slice(0, 5))(
  '%s that is named with --config is an error that says what it is',
  async (_, put) => {
    const path = join(project, 'mcp.json')
    await put(path)
    await expect(sources(path)).rejects.toMatchObject({ code: 'config_invalid', key: '--config' })
  },
)

test('a trusted file that becomes unreadable counts no more', async () => {
  const path = join(project, 'mcp.json')
  await writeFile(path, '{}')
  await trustStore.trust(path, '{}')
  expect((await sources()).files).toHaveLength(2)
  await rm(path)
  await symlink('/dev/zero', path)
  expect(await sources()).toMatchObject({ files: [{ path: userConfigFile(environment) }], untrusted: path })
})

test('a trusted file that every user may write by now counts no more', async () => {
  const path = join(project, 'mcp.json')
  await writeFile(path, '{}')
  await trustStore.trust(path, '{}')
  await chmod(path, 0o666)
  expect((await sources()).untrusted).toBe(path)
})
