import { expect, test } from 'vitest'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import { SignInOrder } from './sign-in-order.ts'

function watch(promise: Promise<void>): () => boolean {
  let done = false
  void promise.then(() => {
    done = true
  })
  return () => done
}
const settle = () => new Promise((resolve) => setImmediate(resolve))

test('a server waits for every one before it, and for none after it', async () => {
  const order = new SignInOrder(4, createManualClock())
  const [first, third] = [watch(order.turn(0)), watch(order.turn(2))]
  await settle()
  expect([first(), third()]).toEqual([true, false])
  order.decide(1)
  order.decide(3)
  await settle()
  expect(third()).toBe(false)
  order.decide(0)
  await settle()
  expect(third()).toBe(true)
})

test('a server that does not answer holds the others up for three seconds only', async () => {
  const clock = createManualClock()
  const second = watch(new SignInOrder(2, clock).turn(1))
  await settle()
  expect(second()).toBe(false)
  await clock.elapse((delay) => delay === 3_000)
  await settle()
  expect(second()).toBe(true)
})
