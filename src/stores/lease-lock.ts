import type { Lease } from '../ports.ts'
import { createTurnQueue } from '../turn-queue.ts'

/** The three moves on a lease, each one atomic operation of a database, by the clock of that database. */
export interface LeaseTable {
  /** Takes the lease if nobody has one that is still running. */
  take(id: string, token: string): Promise<boolean>
  /** Makes it last for another whole time if it is still ours. False: it is lost for good. */
  extend(id: string, token: string): Promise<boolean>
  /** Ends it if it is still ours. */
  free(id: string, token: string): Promise<void>
}

export interface LeaseLocks {
  acquire(id: string, options?: { signal?: AbortSignal | undefined }): Promise<Lease>
}

/** How long a holder may stand still before others may take over, in milliseconds. As long as that of the file store. */
export const LEASE = 3500
const BEAT = 1000

/**
 * Locks between machines. A holder extends its lease every second; one that is dead, cut off or standing still loses it
 * after 3.5 s, and finds out through `isHeld()`, which asks the database and leaves a whole lease ahead when it says yes.
 */
export function createLeaseLocks(table: LeaseTable): LeaseLocks {
  // Within the process waiting is done without asking the database; the leases only have to keep processes apart.
  const takeTurn = createTurnQueue()

  return {
    async acquire(id, { signal } = {}) {
      const endTurn = await takeTurn(id, signal)
      try {
        const token = crypto.randomUUID()
        const started = performance.now()
        while (!(await takeUnlessAborted(table, id, token, signal))) {
          const eager = performance.now() - started < 200
          await pause(eager ? 5 + Math.random() * 10 : 25 + Math.random() * 50, signal)
        }
        return hold(table, id, token, endTurn)
      } catch (error) {
        endTurn()
        throw error
      }
    },
  }
}

/** A signal that comes while the database answers must not leave a lease behind that nobody knows of. */
async function takeUnlessAborted(
  table: LeaseTable,
  id: string,
  token: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  signal?.throwIfAborted()
  const isOurs = await table.take(id, token)
  if (!signal?.aborted) return isOurs
  if (isOurs) await table.free(id, token).catch(() => {})
  throw signal.reason
}

function hold(table: LeaseTable, id: string, token: string, endTurn: () => void): Lease {
  let released: Promise<void> | undefined
  let isLost = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let beating: Promise<unknown> = Promise.resolve()

  const extend = async (): Promise<boolean> => {
    if (isLost || released) return false
    isLost = !(await table.extend(id, token))
    return !isLost
  }
  // The timer keeps the process alive on purpose: somebody is in the middle of a change.
  const schedule = (): void => {
    timer = setTimeout(() => {
      // A beat that fails is like one that was not made: at worst somebody takes over, and isHeld() says so.
      beating = extend()
        .catch(() => true)
        .then((isOurs) => {
          if (isOurs && !released) schedule()
        })
    }, BEAT)
  }
  schedule()

  const release = async (): Promise<void> => {
    clearTimeout(timer)
    try {
      await beating
      await table.free(id, token)
    } catch {
      // Nobody extends it any more, so it comes free by itself; the caller's own result matters more.
    } finally {
      endTurn()
    }
  }

  return {
    isHeld: extend,
    release: () => {
      released ??= release()
      return released
    },
  }
}

function pause(delay: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, delay)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
