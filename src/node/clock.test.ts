import { expect, test } from 'vitest'
import { systemClock } from './clock.ts'

test('a timer calls back once, not before its time', async () => {
  const started = systemClock.monotonic()
  let calls = 0
  await new Promise<void>((resolve) => {
    systemClock.setTimer(() => {
      calls += 1
      resolve()
    }, 30)
  })
  expect(systemClock.monotonic() - started).toBeGreaterThanOrEqual(28)
  expect(calls).toBe(1)
})

test('a cancelled timer does not call back', async () => {
  let called = false
  const cancel = systemClock.setTimer(() => {
    called = true
  }, 5)
  cancel()
  await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 30))
  expect(called).toBe(false)
})

test('a delay longer than setTimeout can take does not fire at once', async () => {
  let called = false
  const cancel = systemClock.setTimer(
    () => {
      called = true
    },
    2 ** 31 + 1000,
  )
  await new Promise<void>((resolve) => void systemClock.setTimer(resolve, 30))
  cancel()
  expect(called).toBe(false)
})
