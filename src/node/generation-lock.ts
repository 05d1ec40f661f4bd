import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Clock, Lease } from '../ports.ts'
import { createTurnQueue } from '../turn-queue.ts'
import { systemCode } from './store-folder-error.ts'

export interface GenerationLockOptions {
  clock: Clock
  /** How long a holder must stand still before it is taken over from, in milliseconds. Default 3500. */
  staleAfter?: number
}

export interface GenerationLocks {
  /**
   * Waits for the lock whose files are `path.<n>`, in a folder that exists. Rejects with the reason of `signal`, or with
   * the error of the operating system. `alongside` is a lock that is wanted next: whoever died may have held both, so both
   * are watched at once.
   */
  acquire(path: string, options?: { signal?: AbortSignal; alongside?: string }): Promise<Lease>
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

const BEAT = 1000

/**
 * Locks between processes that survive kills, pauses and wrong clocks, and never delete a file that may be somebody's lock.
 *
 * The holder is whoever created the highest `path.<n>`. Release renames it to `path.<n>.free`. The next holder creates
 * `path.<n+1>` with `O_EXCL` when n is free, or when n did not change for `staleAfter` of the waiter's own monotonic
 * clock. No process ids, no wall clock. A holder that was paused finds out through `isHeld()`.
 *
 * The folder must be on a local file system and hold few files: a listing has to come from one read of the directory.
 */
export function createGenerationLocks({ clock, staleAfter = 3500 }: GenerationLockOptions): GenerationLocks {
  // Within the process waiting is done without polling; the files then only have to keep processes apart.
  const takeTurn = createTurnQueue()
  const watches = new Map<string, StillnessWatch>()
  const watchOf = (path: string): StillnessWatch => {
    const watch = watches.get(path) ?? createStillnessWatch(clock, staleAfter)
    watches.set(path, watch)
    return watch
  }

  return {
    async acquire(path, { signal, alongside } = {}) {
      const endTurn = await takeTurn(path, signal)
      try {
        const taken = await waitForGeneration(path, {
          clock,
          signal,
          watch: watchOf(path),
          lookAlongside: async () => {
            if (alongside === undefined) return
            const { number, isFree } = await highestGeneration(alongside)
            if (!isFree) await watchOf(alongside).standsStill(`${alongside}.${number}`)
          },
        }).finally(() => watches.delete(path))
        return hold({ path, ...taken, clock, beatEvery: Math.min(BEAT, staleAfter / 3.5), endTurn })
      } catch (error) {
        endTurn()
        throw error
      }
    },
  }
}

interface Wait {
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
  readonly watch: StillnessWatch
  readonly lookAlongside: () => Promise<void>
}

async function waitForGeneration(
  path: string,
  { clock, signal, watch, lookAlongside }: Wait,
): Promise<Taken> {
  const started = clock.monotonic()
  for (;;) {
    signal?.throwIfAborted()
    const highest = await highestGeneration(path)
    if (highest.isFree || (await watch.standsStill(`${path}.${highest.number}`))) {
      const taken = await take(path, highest.number + 1)
      if (taken) return taken
      continue
    }
    const eager = clock.monotonic() - started < 200
    if (!eager) await lookAlongside()
    await pause(clock, eager ? 3 + Math.random() * 4 : 20 + Math.random() * 30, signal)
  }
}

interface StillnessWatch {
  standsStill(file: string): Promise<boolean>
}

/**
 * Adds up how long a lock file has not changed. A single step counts at most an eighth of the limit: when the whole
 * machine was asleep, the holder gets the time to show that it is alive.
 */
function createStillnessWatch(clock: Clock, staleAfter: number): StillnessWatch {
  let seen = ''
  let still = 0
  let lookedAt = 0
  return {
    async standsStill(file: string): Promise<boolean> {
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

async function stateOf(file: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await stat(file, { bigint: true })
    return `${file} ${ino} ${mtimeNs}`
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function pause(clock: Clock, delay: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.setTimer(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, delay)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
