/**
 * Waits for an outcome until `signal` aborts; its reason is thrown then. What was waited for goes on: a renewal that
 * was begun must not be lost because one caller has no more time.
 */
export async function untilAborted<T>(
  outcome: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (!signal) return outcome
  let leave: () => void = () => {}
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason)
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
  })
  // Nobody may be left to hear of a failure after the abort.
  outcome.catch(() => {})
  try {
    return await Promise.race([left, outcome])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
