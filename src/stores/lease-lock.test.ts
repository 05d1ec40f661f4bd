import { expect, test } from 'vitest'
import { createLeaseLocks, type LeaseTable } from './lease-lock.ts'

/** Leases in memory that end only when they are freed, and whatever a test wants to go wrong. */
function scriptedTable(wrong: Partial<LeaseTable> = {}) {
  const held = new Map<string, string>()
  const calls: string[] = []
  const right: LeaseTable = {
    async take(id, token) {
      if (held.has(id)) return false
      held.set(id, token)
      return true
    },
    extend: async (id, token) => held.get(id) === token,
    async free(id, token) {
      if (held.get(id) === token) held.delete(id)
    },
  }
  const noted = (name: keyof LeaseTable) => (id: string, token: string) => {
    calls.push(name)
    return (wrong[name] ?? right[name])(id, token) as Promise<never>
  }
  const table = { take: noted('take'), extend: noted('extend'), free: noted('free') }
  return { held, calls, right, table }
}

test('a signal that comes while the database answers leaves no lease behind', async () => {
  const controller = new AbortController()
  const reason = new Error('gave up')
  const { held, right, table } = scriptedTable({
    async take(id, token) {
      const isOurs = await right.take(id, token)
      controller.abort(reason)
      return isOurs
    },
  })
  const locks = createLeaseLocks(table)
  await expect(locks.acquire('a', { signal: controller.signal })).rejects.toBe(reason)
  expect(held.size).toBe(0)
})

test('a lease that was lost is lost for good, and is not extended any more', async () => {
  const { held, calls, table } = scriptedTable()
  const lease = await createLeaseLocks(table).acquire('a')
  const mine = held.get('a')!
  held.set('a', 'somebody else')
  expect(await lease.isHeld()).toBe(false)
  held.set('a', mine)
  expect(await lease.isHeld()).toBe(false)
  expect(calls.filter((call) => call === 'extend')).toHaveLength(1)
  await lease.release()
})

test('a database that cannot be asked is an error, not a no; and a release that fails is none', async () => {
  const broken = async (): Promise<never> => {
    throw new Error('the database is away')
  }
  const { right, table } = scriptedTable({ extend: broken, free: broken })
  const locks = createLeaseLocks({ ...table, take: right.take })
  const lease = await locks.acquire('a')
  await expect(lease.isHeld()).rejects.toThrow('the database is away')
  await lease.release()
  expect(await lease.isHeld()).toBe(false)
  // The turn within the process is passed on all the same.
  const controller = new AbortController()
  const next = locks.acquire('a', { signal: controller.signal })
  await new Promise((resolve) => setTimeout(resolve, 30))
  controller.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
})

test('a holder extends its lease while it works, also after a beat that failed', async () => {
  let beats = 0
  const { calls, table } = scriptedTable({
    extend: async () => {
      beats += 1
      if (beats === 1) throw new Error('a moment without network')
      return true
    },
  })
  const lease = await createLeaseLocks(table).acquire('a')
  await expect.poll(() => beats, { timeout: 10_000 }).toBeGreaterThan(1)
  await lease.release()
  const after = calls.length
  await new Promise((resolve) => setTimeout(resolve, 1200))
  expect(calls.length).toBe(after)
})

test('within a process one waiter asks the database, and they come in their order', async () => {
  const { calls, table } = scriptedTable()
  const locks = createLeaseLocks(table)
  const first = await locks.acquire('a')
  const order: number[] = []
  const waiting = [1, 2, 3].map(async (number) => {
    const lease = await locks.acquire('a')
    order.push(number)
    await lease.release()
  })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(calls).toEqual(['take'])
  await first.release()
  await Promise.all(waiting)
  expect(order).toEqual([1, 2, 3])
})
