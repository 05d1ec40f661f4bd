import { spawn, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfigFile } from './config-file.ts'
import { chooseConfigFile, type PathEnvironment, userConfigFile } from './paths.ts'
import { createTrustStore, type TrustStore } from './trust-store.ts'

let folder = ''
let environment: PathEnvironment
let trustStore: TrustStore

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-config-'))
  environment = { env: {}, homedir: join(folder, 'home'), platform: 'linux' }
  trustStore = createTrustStore({ home: join(folder, 'store'), emit: () => {} })
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

async function put(path: string, text = '{}'): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  return path
}

const read = (flag?: string, env: Record<string, string> = {}) => {
  const withEnv = { ...environment, env }
  return readConfigFile(chooseConfigFile(withEnv, flag), { environment: withEnv, trustStore })
}

test("the user's own file is trusted where it lies", async () => {
  const path = await put(userConfigFile(environment), '\uFEFF{"mcpServers":{}}')
  expect(await read()).toEqual({
    path,
    text: '{"mcpServers":{}}',
    trusted: true,
    versionControlled: false,
    folder: dirname(path),
    startsIn: undefined,
  })
})

test('any other file has its programs and files beside it, also where a link leads to it', async () => {
  const path = await put(join(folder, 'project', 'mcp.json'))
  const link = join(folder, 'mcp.json')
  await symlink(path, link)
  const beside = dirname(await realpath(path))
  expect(await read(link)).toMatchObject({ path: link, folder: beside, startsIn: beside })
})

test('those of an editor’s file are in the project, and those of a pipe in the current folder', async () => {
  const project = await realpath(await mkdtemp(join(folder, 'project-')))
  const inEditor = await put(join(project, '.vscode', 'mcp.json'))
  expect(await read(inEditor)).toMatchObject({ folder: project, startsIn: project })
  const pipe = join(folder, 'pipe')
  spawnSync('mkfifo', [pipe])
  spawn('sh', ['-c', `echo '{}' > "$0"`, pipe])
  expect(await read(pipe)).toMatchObject({ text: '{}\n', folder: process.cwd(), startsIn: undefined })
})

test.each([
  '.config/Claude/claude_desktop_config.json',
  '.config/Code/User/mcp.json',
  '.cursor/mcp.json',
  '.claude.json',
])("a known program's user-level file is trusted: %s", async (name) => {
  expect(await read(await put(join(environment.homedir, name)))).toMatchObject({ trusted: true })
})

test('any other file is trusted only after it was vouched for, and only as it was then', async () => {
  const path = await put(join(folder, 'project', '.cursor', 'mcp.json'))
  expect(await read(path)).toMatchObject({ trusted: false })
  expect(await read(undefined, { LATCHKEY_CONFIG: path })).toMatchObject({ path, trusted: false })
  await trustStore.trust(path, '{}')
  expect(await read(path)).toMatchObject({ trusted: true })
  await writeFile(path, '{"mcpServers":{"evil":{}}}')
  expect(await read(path)).toMatchObject({ trusted: false })
})

test('where others can write, the place alone is not enough', async () => {
  const path = await put(userConfigFile(environment))
  await chmod(path, 0o666)
  expect(await read()).toMatchObject({ trusted: false })
  await chmod(path, 0o644)
  await chmod(dirname(path), 0o777)
  expect(await read()).toMatchObject({ trusted: false })
})

test('where any folder on the way can be exchanged by others, the place is not enough; a private group is no others', async () => {
  environment = { ...environment, homedir: join(folder, 'users', 'jane') }
  const hasPrivateGroup = process.getegid?.() === process.geteuid?.()
  const path = await put(userConfigFile(environment))
  const above = dirname(environment.homedir)
  for (const open of [environment.homedir, above, dirname(dirname(path))]) {
    await chmod(open, 0o777)
    expect(await read()).toMatchObject({ trusted: false })
    await chmod(open, 0o775)
    expect(await read()).toMatchObject({ trusted: hasPrivateGroup })
    await chmod(open, 0o755)
  }
  // Content was looked at where a file was vouched for: its place then matters less.
  await chmod(above, 0o777)
  await trustStore.trust(path, '{}')
  expect(await read()).toMatchObject({ trusted: true })
})

test("a link to the user's own file that is turned while it is read gives its trust to no other text", async () => {
  await put(userConfigFile(environment), '{"mcpServers":{}}')
  const evil = await put(join(folder, 'evil.json'), '{"mcpServers":{"evil":{}}}')
  const link = join(folder, 'link.json')
  const seen = new Set<string>()
  for (let round = 0; round < 40; round++) {
    await rm(link, { force: true })
    await symlink(evil, link)
    const reading = read(link)
    // At another moment of the reading each time.
    for (let step = 0; step < round; step++) await Promise.resolve()
    await rename(await linkTo(userConfigFile(environment)), link)
    const file = await reading.catch(() => undefined)
    if (file) seen.add(`${file.text} ${file.trusted}`)
  }
  expect([...seen].filter((one) => one.includes('evil') && one.endsWith('true'))).toEqual([])
})

async function linkTo(target: string): Promise<string> {
  const path = join(folder, 'next')
  await symlink(target, path)
  return path
}

test('dotfiles kept in a repository: trusted through the link, and known to be under version control', async () => {
  await mkdir(join(folder, 'dotfiles', '.git'), { recursive: true })
  const kept = await put(join(folder, 'dotfiles', 'latchkey', 'mcp.json'))
  await mkdir(dirname(userConfigFile(environment)), { recursive: true })
  await symlink(kept, userConfigFile(environment))
  expect(await read()).toMatchObject({ trusted: true, versionControlled: true })
})

test('a worktree, whose .git is a file, is under version control', async () => {
  await put(join(folder, 'worktree', '.git'), 'gitdir: elsewhere')
  const path = await put(join(folder, 'worktree', 'a', 'b', 'mcp.json'))
  expect(await read(path)).toMatchObject({ versionControlled: true })
})

test('a missing file says where it was looked for, who named it, and where the default is', async () => {
  const missing = join(folder, 'missing.json')
  const cases = [
    { flag: missing, env: {}, key: '--config', path: missing },
    { flag: undefined, env: { LATCHKEY_CONFIG: missing }, key: 'LATCHKEY_CONFIG', path: missing },
    { flag: undefined, env: {}, key: userConfigFile(environment), path: userConfigFile(environment) },
  ]
  for (const { flag, env, key, path } of cases) {
    const error: unknown = await read(flag, env).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'config_invalid', key })
    expect((error as Error).message).toContain(`${path} does not exist`)
    expect((error as Error).message).toContain(userConfigFile(environment))
  }
})

test('a folder, or bytes that are not text, is an error that says so', async () => {
  await expect(read(folder)).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('not a regular file'),
  })
  const path = join(folder, 'bytes.json')
  await writeFile(path, Buffer.from([0xff, 0xfe, 0x00]))
  await expect(read(path)).rejects.toMatchObject({ message: expect.stringContaining('not UTF-8') })
})
