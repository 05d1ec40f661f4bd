import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createFileStore } from '../src/node/file-store.ts'
import { size } from './campaign.ts'
import { buildStoreChild, type StoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

const PROCESSES = 8
const ROUNDS = size(25, 1000)

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let program = ''
let homes = 0

beforeAll(async () => {
  folder = await temporaryFolder()
  program = await buildStoreChild(folder.path)
})
afterAll(() => folder.remove())

const newHome = (): string => join(folder.path, `home-${homes++}`)

/** Starts children that do not outlive the test. */
function starter(onTestFinished: (end: () => void) => void) {
  return (...args: string[]): StoreChild => {
    const child = startStoreChild(program, args)
    onTestFinished(() => void child.process.kill('SIGKILL'))
    return child
  }
}

test(`${PROCESSES} processes x ${ROUNDS} rounds: never two in at once, no update lost`, {
  timeout: 30_000 + ROUNDS * 1000,
}, async () => {
  const home = newHome()
  const start = starter(onTestFinished)
  await writeFile(join(folder.path, 'counter'), '0')
  const children = Array.from({ length: PROCESSES }, () => start('rounds', home, folder.path, String(ROUNDS)))
  expect(await Promise.all(children.map((child) => child.ended))).toEqual(children.map(() => 0))

  const log = (await readFile(join(folder.path, 'log'), 'utf8')).trim().split('\n')
  expect(log).toHaveLength(PROCESSES * ROUNDS * 2)
  for (let line = 0; line < log.length; line += 2) {
    expect(log[line + 1]).toBe(log[line]?.replace('in', 'out'))
  }
  expect(await readFile(join(folder.path, 'counter'), 'utf8')).toBe(String(PROCESSES * ROUNDS))
})

test('different records of one document: concurrent writers lose nothing', { timeout: 30_000 }, async () => {
  const home = newHome()
  const start = starter(onTestFinished)
  const labels = ['a', 'b', 'c', 'd', 'e', 'f']
  const children = labels.map((label) => start('records', home, label, '15'))
  expect(await Promise.all(children.map((child) => child.ended))).toEqual(labels.map(() => 0))

  const stored = await createFileStore({ home, emit: () => {} }).list({ kind: 'tokens' })
  expect(stored.map(({ key }) => key.identity.server_url).sort()).toEqual(
    labels
      .flatMap((label) => Array.from({ length: 15 }, (_, n) => `https://mcp.example.com/${label}-${n}`))
      .sort(),
  )
  expect(stored.every(({ key, record }) => record.server_url === key.identity.server_url)).toBe(true)
})

// Each of these mostly waits for the limit of 3.5 s, so they wait together.
describe.concurrent('a holder', () => {
  test('that is killed blocks the next one for less than 4 s', { timeout: 20_000 }, async ({
    onTestFinished,
    expect,
  }) => {
    const home = newHome()
    const start = starter(onTestFinished)
    const holder = start('talk', home, 'holder')
    expect(await holder.ask('lock')).toBe('locked')
    const waiter = start('talk', home, 'waiter')
    expect(await waiter.ask('read')).toBe(null)
    const answer = waiter.ask('lock')
    holder.process.kill('SIGKILL')
    await holder.ended
    const killed = performance.now()
    expect(await answer).toBe('locked')
    expect(performance.now() - killed).toBeLessThan(4000)
  })

  test('that lives and waits keeps its lock for longer than the limit', {
    timeout: 20_000,
  }, async ({ onTestFinished, expect }) => {
    const home = newHome()
    const start = starter(onTestFinished)
    const holder = start('talk', home, 'holder')
    expect(await holder.ask('lock')).toBe('locked')
    const store = createFileStore({ home, emit: () => {} })
    const identity = { server_url: 'https://mcp.example.com/shared', configured_client_id: null }
    const key = { kind: 'tokens', serverDomain: 'mcp.example.com', account: null, identity } as const
    await expect(store.lock(key, { signal: AbortSignal.timeout(5000) })).rejects.toThrow('timeout')
    expect(await holder.ask('held')).toBe(true)
  })

  test('that was stopped learns that its lock is gone, and its release changes nothing', {
    timeout: 20_000,
  }, async ({ onTestFinished, expect }) => {
    const home = newHome()
    const start = starter(onTestFinished)
    const [stopped, next, third] = ['stopped', 'next', 'third'].map((name) => start('talk', home, name))
    expect(await stopped?.ask('lock')).toBe('locked')
    stopped?.process.kill('SIGSTOP')
    expect(await next?.ask('lock')).toBe('locked')
    stopped?.process.kill('SIGCONT')
    expect(await stopped?.ask('held')).toBe(false)
    expect(await stopped?.ask('release')).toBe(null)
    expect(await next?.ask('held')).toBe(true)
    const waiting = third?.ask('lock')
    expect(await next?.ask('release')).toBe(null)
    expect(await waiting).toBe('locked')
  })
})
