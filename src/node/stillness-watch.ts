import { lstat } from 'node:fs/promises'
import type { Clock } from '../ports.ts'
import { systemCode } from './store-folder-error.ts'

/** Knows how long a file that its owner keeps touching has been left alone. */
export interface StillnessWatch {
  /** Whether it has not changed for long enough. To be asked again and again: what nobody looks at does not stand still. */
  standsStill(file: string): Promise<boolean>
}

/**
 * Adds up how long a lock file has not changed. A single step counts at most an eighth of the limit: when the whole
 * machine was asleep, the holder gets the time to show that it is alive.
 */
export function createStillnessWatch(clock: Clock, staleAfter: number): StillnessWatch {
  let seen = ''
  let still = 0
  let lookedAt = 0
  return {
    async standsStill(file) {
      const state = await stateOf(file)
      const now = clock.monotonic()
      if (state === undefined || state !== seen) {
        seen = state ?? ''
        still = 0
      } else {
        still += Math.min(now - lookedAt, staleAfter / 8)
      }
      lookedAt = now
      return still >= staleAfter
    },
  }
}

/** Of a link, of the link itself: it may lead nowhere, or to what changes for ever. */
async function stateOf(file: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await lstat(file, { bigint: true })
    return `${file} ${ino} ${mtimeNs}`
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
