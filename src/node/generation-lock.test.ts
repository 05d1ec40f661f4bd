import { writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Clock } from '../ports.ts'
import { systemClock } from './clock.ts'
import { createGenerationLocks } from './generation-lock.ts'

let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-lock-'))
  path = join(folder, 'NAME')
})
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))

/** Each stands for a process: only the files are shared. */
const newProcess = (options: { clock?: Clock; staleAfter?: number } = {}) =>
  createGenerationLocks({ clock: systemClock, ...options })

const names = async (): Promise<string[]> => (await readdir(folder)).sort()

test('the highest number holds; release renames it; the last two generations stay', async () => {
  for (const expected of [
    [['NAME.1'], ['NAME.1.free']],
    [
      ['NAME.1.free', 'NAME.2'],
      ['NAME.1.free', 'NAME.2.free'],
    ],
    [
      ['NAME.1.free', 'NAME.2.free', 'NAME.3'],
      ['NAME.2.free', 'NAME.3.free'],
    ],
  ]) {
    const lease = await newProcess().acquire(path)
    expect(await names()).toEqual(expected[0])
    expect(await lease.isHeld()).toBe(true)
    await lease.release()
    expect(await names()).toEqual(expected[1])
    expect(await lease.isHeld()).toBe(false)
  }
  expect((await stat(`${path}.3.free`)).mode & 0o777).toBe(0o600)
})

test('locks of names that begin alike do not see each other', async () => {
  const [short, long] = [await newProcess().acquire(path), await newProcess().acquire(`${path}.1`)]
  expect(await short.isHeld()).toBe(true)
  expect(await long.isHeld()).toBe(true)
  await short.release()
  await long.release()
})

test('a lock file that nobody touches is passed over after the limit, not deleted, and its holder finds out', async () => {
  await writeFile(`${path}.7`, '')
  const started = performance.now()
  const lease = await newProcess({ staleAfter: 300 }).acquire(path)
  expect(performance.now() - started).toBeGreaterThanOrEqual(300)
  expect(await names()).toEqual(['NAME.7', 'NAME.8'])
  await lease.release()
  expect(await names()).toEqual(['NAME.7', 'NAME.8.free'])
})

test('two locks of a dead holder are waited for at the same time, not one after the other', async () => {
  const next = join(folder, 'NEXT')
  await writeFile(`${path}.1`, '')
  await writeFile(`${next}.1`, '')
  const staleAfter = 1500
  const locks = newProcess({ staleAfter })
  const first = await locks.acquire(path, { next })
  const taken = performance.now()
  const second = await locks.acquire(next)
  const wait = performance.now() - taken
  expect(wait).toBeLessThan(staleAfter)
  await Promise.all([first.release(), second.release()])
})

test('a lock that is watched beside another is not taken from a holder who lives', async () => {
  const staleAfter = 600
  const next = join(folder, 'NEXT')
  await writeFile(`${path}.1`, '')
  const holder = await newProcess({ staleAfter }).acquire(next)
  const locks = newProcess({ staleAfter })
  const first = await locks.acquire(path, { next })
  const waiting = locks.acquire(next, { signal: AbortSignal.timeout(staleAfter) })
  await expect(waiting).rejects.toThrow('timeout')
  expect(await holder.isHeld()).toBe(true)
  await Promise.all([first.release(), holder.release()])
})

test('a holder whose heart beats is waited for, however long', async () => {
  const staleAfter = 200
  const holder = await newProcess({ staleAfter }).acquire(path)
  const waiting = newProcess({ staleAfter }).acquire(path, { signal: AbortSignal.timeout(staleAfter * 4) })
  await expect(waiting).rejects.toThrow('timeout')
  expect(await holder.isHeld()).toBe(true)
  await holder.release()
})

test('a holder whose wall clock is wrong and runs backwards is still seen to be alive', async () => {
  const staleAfter = 300
  let year1999 = Date.UTC(1999, 0)
  const holder = await newProcess({ staleAfter, clock: { ...systemClock, now: () => year1999-- } }).acquire(
    path,
  )
  const waiting = newProcess({ staleAfter }).acquire(path, { signal: AbortSignal.timeout(staleAfter * 3) })
  await expect(waiting).rejects.toThrow('timeout')
  await holder.release()
})

test('a machine that was asleep: the waiter does not count the sleep against the holder', async () => {
  let asleep = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + asleep }
  const staleAfter = 2000
  const holder = await newProcess({ staleAfter }).acquire(path)
  const controller = new AbortController()
  const waiting = newProcess({ staleAfter, clock }).acquire(path, { signal: controller.signal })
  const looks = new Promise((resolve) => systemClock.setTimer(() => resolve(undefined), 100))
  await looks
  asleep = 3_600_000
  await new Promise((resolve) => systemClock.setTimer(() => resolve(undefined), 300))
  expect(await holder.isHeld()).toBe(true)
  controller.abort(new Error('seen enough'))
  await expect(waiting).rejects.toThrow('seen enough')
  await holder.release()
})

test('the release of a lost lock changes nothing', async () => {
  const lost = await newProcess({ staleAfter: 60_000 }).acquire(path)
  await writeFile(`${path}.2`, '')
  expect(await lost.isHeld()).toBe(false)
  await lost.release()
  expect(await names()).toEqual(['NAME.1', 'NAME.2'])
})

test('a late comer that creates a number which was used up backs off', async () => {
  // What a process leaves that looked at generation 4, slept, and created 5 after 5 had come and gone.
  await writeFile(`${path}.5.free`, '')
  await writeFile(`${path}.5`, '')
  const lease = await newProcess({ staleAfter: 60_000 }).acquire(path)
  expect(await names()).toContain('NAME.6')
  await lease.release()
})

test('who looked, slept, and then creates a number that was free when it looked holds nothing', async () => {
  await writeFile(`${path}.1`, '')
  let looks = 0
  // The clock is read between the look and the creation: there the world goes on by two generations.
  const monotonic = (): number => {
    looks += 1
    if (looks === 2) {
      writeFileSync(`${path}.2.free`, '')
      writeFileSync(`${path}.3`, '')
    }
    return systemClock.monotonic()
  }
  const lease = await newProcess({ clock: { ...systemClock, monotonic }, staleAfter: 0 }).acquire(path)
  expect(await lease.isHeld()).toBe(true)
  expect(await names()).toEqual(['NAME.1', 'NAME.2', 'NAME.2.free', 'NAME.3', 'NAME.4'])
  await lease.release()
})

test('within a process callers take turns, first come first served', async () => {
  const locks = newProcess()
  const order: number[] = []
  await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      const lease = await locks.acquire(path)
      order.push(number)
      await lease.release()
    }),
  )
  expect(order).toEqual(Array.from({ length: 20 }, (_, number) => number))
})

test('giving up while waiting for another process leaves no file and no turn behind', async () => {
  const holder = await newProcess().acquire(path)
  const locks = newProcess()
  const controller = new AbortController()
  const waiting = locks.acquire(path, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  expect(await names()).toEqual(['NAME.1'])
  await holder.release()
  await (await locks.acquire(path)).release()
})

test('a folder that is removed under a holder: lost, and its release is quiet', async () => {
  const lease = await newProcess().acquire(path)
  await rm(folder, { recursive: true })
  expect(await lease.isHeld()).toBe(false)
  await lease.release()
})
