import { describe, expect, test } from 'vitest'
import { createManualClock } from '../test/fixtures/manual-clock.ts'
import { sleep } from './sleep.ts'

describe('sleep', () => {
  test('ends when its time has come', async () => {
    const clock = createManualClock()
    const sleeping = sleep(clock, 500)
    await clock.elapse((delay) => delay === 500)
    await sleeping
  })

  test('ends with the reason of an abort', async () => {
    const controller = new AbortController()
    const sleeping = sleep(createManualClock(), 500, controller.signal)
    controller.abort(new Error('no longer wanted'))
    await expect(sleeping).rejects.toThrow('no longer wanted')
    await expect(sleep(createManualClock(), 500, controller.signal)).rejects.toThrow('no longer wanted')
  })
})
