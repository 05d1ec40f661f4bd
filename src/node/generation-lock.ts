import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Clock, Lease } from '../ports.ts'
import { sleep } from '../sleep.ts'
import { createTurnQueue } from '../turn-queue.ts'
import { createStillnessWatch, type StillnessWatch } from './stillness-watch.ts'
import { refused, systemCode } from './store-folder-error.ts'

export interface GenerationLockOptions {
  clock: Clock
  /** How long a holder must stand still before it is taken over from, in milliseconds. Default 3500. */
  staleAfter?: number
  /** The longest pause between two looks at a lock that stays taken, in milliseconds. Default 50; more where people hold locks. */
  longestPause?: number
}

export interface AcquireOptions {
  signal?: AbortSignal
  /** Hears once that another process has the lock, or had it when it ended. */
  onWait?: () => void
  /** A lock that is wanted next: whether its holder stands still is found out while waiting for this one. */
  next?: string
}

export interface GenerationLocks {
  /**
   * Waits for the lock whose files are `path.<n>`, in a folder that exists. Rejects with the reason of `signal`, with the
   * error of the operating system, or with `store_failed` where the numbers have run out.
   */
  acquire(path: string, options?: AcquireOptions): Promise<Lease>
}

/** What the folder says: the highest generation, and whether its holder has let go of it. */
interface Generation {
  readonly number: number
  readonly isFree: boolean
}

/** A generation that is ours, with its file open. */
interface Taken {
  readonly number: number
  readonly handle: FileHandle
}

/** Fifteen digits, which a number holds exactly. Nobody counts this far: who puts the last one there wants no next one. */
const LAST = 999_999_999_999_999

const NONE: Generation = { number: 0, isFree: true }

const BEAT = 1000
const LONGEST_PAUSE = 50

/**
 * Locks between processes that survive kills, pauses and wrong clocks, and never delete a file that may be somebody's lock.
 *
 * The holder is whoever created the highest `path.<n>`. Release renames it to `path.<n>.free`. The next holder creates
 * `path.<n+1>` with `O_EXCL` when n is free, or when n did not change for `staleAfter` of the waiter's own monotonic
 * clock. No process ids, no wall clock. A holder that was paused finds out through `isHeld()`.
 *
 * The folder must be on a local file system and hold few files: a listing has to come from one read of the directory.
 */
export function createGenerationLocks({
  clock,
  staleAfter = 3500,
  longestPause = LONGEST_PAUSE,
}: GenerationLockOptions): GenerationLocks {
  // Within the process waiting is done without polling; the files then only have to keep processes apart.
  const takeTurn = createTurnQueue()
  const watches = new Map<string, StillnessWatch>()

  /** True when a lock is free, or as good as free. */
  const isLeft = async (path: string, { number, isFree }: Generation): Promise<boolean> => {
    if (isFree) return true
    const watch = watches.get(path) ?? createStillnessWatch(clock, staleAfter)
    watches.set(path, watch)
    return watch.standsStill(`${path}.${number}`)
  }

  return {
    async acquire(path, { next, ...options } = {}) {
      const endTurn = await takeTurn(path, options.signal)
      try {
        const look = async (highest: Generation) => {
          if (next !== undefined) await isLeft(next, await highestGeneration(next).catch(() => NONE))
          return isLeft(path, highest)
        }
        const taken = await waitForGeneration(path, look, { clock, longestPause, ...options })
        watches.delete(path)
        return hold({ path, ...taken, clock, beatEvery: Math.min(BEAT, staleAfter / 3.5), endTurn })
      } catch (error) {
        endTurn()
        throw error
      }
    },
  }
}

async function waitForGeneration(
  path: string,
  isLeft: (highest: Generation) => Promise<boolean>,
  { clock, longestPause, signal, onWait }: { clock: Clock; longestPause: number } & AcquireOptions,
): Promise<Taken> {
  const started = clock.monotonic()
  let isTold = false
  for (;;) {
    signal?.throwIfAborted()
    const highest = await highestGeneration(path)
    if (highest.number === LAST) {
      throw refused(`${path}.${LAST}`, 'leaves no number for the next lock', 'Remove it.')
    }
    if (await isLeft(highest)) {
      const taken = await take(path, highest.number + 1)
      if (taken) return taken
      continue
    }
    if (!isTold) onWait?.()
    isTold = true
    await sleep(clock, pauseAfter(clock.monotonic() - started, longestPause), signal)
  }
}

/** Eager at first, since most locks are held for some milliseconds only. */
function pauseAfter(waited: number, longest: number): number {
  if (waited < 200) return 3 + Math.random() * 4
  const most = Math.min(longest, Math.max(LONGEST_PAUSE, waited / 20))
  return most * (0.4 + Math.random() * 0.6)
}

function hold(
  holding: Taken & { path: string; clock: Clock; beatEvery: number; endTurn: () => void },
): Lease {
  const { path, number, endTurn } = holding
  const file = `${path}.${number}`
  const heart = startHeart(holding)
  let released: Promise<void> | undefined

  const release = async (): Promise<void> => {
    await heart.stop()
    try {
      // A lock that was lost is left as it is: the file then only says that its generation is over.
      if (await isCurrent(path, number)) {
        await rename(file, `${file}.free`)
        await removeBelow(path, number - 1)
      }
    } catch {
      // The heart has stopped, so the lock comes free by itself; the caller's own result matters more.
    } finally {
      endTurn()
    }
  }

  return {
    isHeld: async () => released === undefined && (await isCurrent(path, number).catch(() => false)),
    release: () => {
      released ??= release()
      return released
    },
  }
}

/** Changes the file's mtime again and again. The timer keeps the process alive on purpose: somebody is in the middle of a change. */
function startHeart({ handle, clock, beatEvery }: { handle: FileHandle; clock: Clock; beatEvery: number }) {
  let stopped = false
  let beating: Promise<void> = Promise.resolve()
  let cancel = (): void => {}
  const beat = async (): Promise<void> => {
    const now = new Date(clock.now())
    // A beat that fails is like one that was not made: at worst somebody takes over, and isHeld() says so.
    await handle.utimes(now, now).catch(() => {})
    if (!stopped) schedule()
  }
  const schedule = (): void => {
    cancel = clock.setTimer(() => {
      beating = beat()
    }, beatEvery)
  }
  schedule()
  return {
    async stop(): Promise<void> {
      stopped = true
      cancel()
      await beating
      await handle.close().catch(() => {})
    },
  }
}

/** A generation counts as free when its `.free` exists, also beside a file that a late comer created under a used number. */
async function highestGeneration(path: string): Promise<Generation> {
  let number = 0
  let isFree = true
  for (const entry of await generationFiles(path)) {
    if (entry.number > number) {
      number = entry.number
      isFree = entry.isFree
    } else if (entry.number === number) {
      isFree ||= entry.isFree
    }
  }
  return { number, isFree }
}

async function isCurrent(path: string, number: number): Promise<boolean> {
  const highest = await highestGeneration(path)
  return highest.number === number && !highest.isFree
}

async function generationFiles(path: string): Promise<(Generation & { name: string })[]> {
  const prefix = `${basename(path)}.`
  const files = []
  for (const name of await readdir(dirname(path))) {
    const match = name.startsWith(prefix) && /^(\d{1,15})(\.free)?$/.exec(name.slice(prefix.length))
    if (match) files.push({ name, number: Number(match[1]), isFree: match[2] !== undefined })
  }
  return files
}

/** The newest two generations stay: who still looks at the last but one must not find its number unused. */
async function removeBelow(path: string, number: number): Promise<void> {
  for (const file of await generationFiles(path)) {
    if (file.number < number) await unlink(join(dirname(path), file.name)).catch(() => {})
  }
}

/** Creates the generation; `undefined` when somebody else has it, or when its number was already used up. */
async function take(path: string, number: number): Promise<Taken | undefined> {
  let handle: FileHandle
  try {
    handle = await open(`${path}.${number}`, 'wx', 0o600)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return undefined
    throw error
  }
  try {
    // We may have looked long ago: between the look and the creation others may have come and gone.
    if (await isCurrent(path, number)) return { number, handle }
  } catch (error) {
    await handle.close()
    throw error
  }
  await handle.close()
  return undefined
}
