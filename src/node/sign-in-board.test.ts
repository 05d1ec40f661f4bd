import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LatchkeyEvent } from '../events.ts'
import { createSignInBoard } from './sign-in-board.ts'

const IDENTITY = '["https://mcp.example.com/mcp","jane@example.com",null] /home/jane/.mcp_use/tokens'

let home = ''
const events: LatchkeyEvent[] = []
/** As a process of its own: nothing in common but the files. */
const newBoard = () => createSignInBoard({ home, emit: (event) => void events.push(event) })
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'latchkey-board-'))
  events.length = 0
})
afterEach(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))

async function everyFile(): Promise<string[]> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

test('how a sign-in ended is known to others, until the next one ends', async () => {
  const [one, two] = [newBoard(), newBoard()]
  expect(await two.lastEnd(IDENTITY)).toBeUndefined()
  await (await one.claim(IDENTITY)).release()
  await one.postEnd(IDENTITY, { at: 1000, failure: 'sign_in_cancelled' })
  const first = await two.lastEnd(IDENTITY)
  expect(first).toMatchObject({ at: 1000, failure: 'sign_in_cancelled' })
  await one.postEnd(IDENTITY, { at: 1000 })
  const second = await two.lastEnd(IDENTITY)
  expect(second).toEqual({ id: expect.any(String), at: 1000 })
  expect(second!.id).not.toBe(first!.id)
  expect(await two.lastEnd('somebody else')).toBeUndefined()
})

test('a claim keeps others waiting, and tells them; of another identity it does not', async () => {
  const [one, two] = [newBoard(), newBoard()]
  const lease = await one.claim(IDENTITY)
  await (await two.claim('somebody else')).release()
  let waits = 0
  const claim = two.claim(IDENTITY, { onWait: () => void waits++ })
  await expect.poll(() => waits).toBe(1)
  await lease.release()
  await (await claim).release()
  expect(waits).toBe(1)
})

test('a wait that is given up keeps nobody else from the place', async () => {
  const [one, two] = [newBoard(), newBoard()]
  const lease = await one.claimPerson()
  const abort = new AbortController()
  const waiting = two.claimPerson({ signal: abort.signal, onWait: () => abort.abort(new Error('enough')) })
  await expect(waiting).rejects.toThrow('enough')
  await lease.release()
  await (await two.claimPerson()).release()
})

test('files are readable for their owner only, and say nothing of who signs in where', async () => {
  const board = newBoard()
  const leases = [await board.claim(IDENTITY), await board.claimPerson()]
  await board.postEnd(IDENTITY, { at: 1000, failure: 'sign_in_timed_out' })
  const files = await everyFile()
  expect(files.length).toBeGreaterThan(2)
  for (const file of files) {
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(`${file} ${await readFile(file, 'utf8')}`).not.toMatch(/example|jane/)
  }
  expect((await stat(join(home, 'tokens', '.sign-in'))).mode & 0o777).toBe(0o700)
  await Promise.all(leases.map((lease) => lease.release()))
  expect(events).toEqual([])
})

test.each([
  '',
  '{',
  'null',
  '{"format":"other"}',
  '{"format":"latchkey-sign-in","version":2,"id":"a","at":1}',
])('an end that is not one of ours says nothing: %s', async (text) => {
  const board = newBoard()
  await board.claim(IDENTITY).then((lease) => lease.release())
  await board.postEnd(IDENTITY, { at: 1000 })
  const file = (await everyFile()).find((each) => each.endsWith('outcome'))!
  await writeFile(file, text)
  expect(await board.lastEnd(IDENTITY)).toBeUndefined()
  await board.postEnd(IDENTITY, { at: 2000 })
  expect(await board.lastEnd(IDENTITY)).toMatchObject({ at: 2000 })
})

test('where no folder can be made it is `store_failed`', async () => {
  await writeFile(join(home, 'tokens'), 'of another program')
  await expect(newBoard().claim(IDENTITY)).rejects.toMatchObject({ code: 'store_failed' })
  await expect(newBoard().lastEnd(IDENTITY)).rejects.toMatchObject({ code: 'store_failed' })
})
