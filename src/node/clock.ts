import type { Clock } from '../ports.ts'

/** `setTimeout` takes 2^31-1 ms (24.8 days) and fires at once beyond it. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** The clocks and timers of this process. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, delay, options = {}) {
    const due = performance.now() + delay
    let timer: NodeJS.Timeout
    const arm = (): void => {
      const left = Math.max(0, due - performance.now())
      timer = left > LONGEST_TIMEOUT ? setTimeout(arm, LONGEST_TIMEOUT) : setTimeout(callback, left)
      if (options.unref) timer.unref()
    }
    arm()
    return () => clearTimeout(timer)
  },
}
