import { expect, test } from 'vitest'
import { createTurnQueue } from './turn-queue.ts'

test('turns of one name come one after the other, in order; other names do not wait', async () => {
  const take = createTurnQueue()
  const order: string[] = []
  const first = await take('a')
  const others = ['second', 'third'].map(async (label) => {
    const end = await take('a')
    order.push(`${label} in`)
    await new Promise((resolve) => setImmediate(resolve))
    order.push(`${label} out`)
    end()
  })
  ;(await take('b'))()
  expect(order).toEqual([])
  first()
  await Promise.all(others)
  expect(order).toEqual(['second in', 'second out', 'third in', 'third out'])
})

test('who gives up while waiting neither blocks the queue nor lets anybody jump it', async () => {
  const take = createTurnQueue()
  const first = await take('a')
  const controller = new AbortController()
  const gaveUp = take('a', controller.signal)
  let thirdIsIn = false
  const third = take('a').then((end) => {
    thirdIsIn = true
    return end
  })
  controller.abort(new Error('enough'))
  await expect(gaveUp).rejects.toThrow('enough')
  await new Promise((resolve) => setImmediate(resolve))
  expect(thirdIsIn).toBe(false)
  first()
  ;(await third)()
  expect(thirdIsIn).toBe(true)
})

test('an aborted signal gets no turn and leaves the queue as it was', async () => {
  const take = createTurnQueue()
  await expect(take('a', AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
  ;(await take('a'))()
})
