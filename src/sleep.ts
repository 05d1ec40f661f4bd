import type { Clock } from './ports.ts'

/** Waits so many milliseconds, and stops waiting when `signal` aborts (its reason is thrown). */
export function sleep(
  clock: Pick<Clock, 'setTimer'>,
  delay: number,
  signal?: AbortSignal | null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const abort = () => {
      cancel()
      reject(signal!.reason)
    }
    const cancel = clock.setTimer(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, delay)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
