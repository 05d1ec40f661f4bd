/** Waits for the turn of `name`; call the result exactly once to pass it on. Rejects with the signal's reason. */
export type TurnQueue = (name: string, signal?: AbortSignal) => Promise<() => void>

/** Mutual exclusion within one process: for each name one at a time, first come, first served. */
export function createTurnQueue(): TurnQueue {
  const last = new Map<string, Promise<void>>()

  return async (name, signal) => {
    signal?.throwIfAborted()
    const before = last.get(name) ?? Promise.resolve()
    let end = (): void => {}
    const mine = new Promise<void>((resolve) => {
      end = resolve
    })
    // Whoever comes next waits for us and for all before us, so that giving up early lets nobody jump the queue.
    const both = before.then(() => mine)
    last.set(name, both)
    void both.then(() => {
      if (last.get(name) === both) last.delete(name)
    })
    try {
      await unlessAborted(before, signal)
    } catch (error) {
      end()
      throw error
    }
    return end
  }
}

function unlessAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
  })
}
