import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import type { AnyFuzzTarget } from './fuzz-target.ts'

/** No input may take longer, in milliseconds. */
const LONGEST = 1000
/** The process may not grow by more while it reads, in megabytes. */
const MEMORY_LIMIT = 200
/** Inputs of one seed: a failure is found again by these alone. */
const CHUNK = 5000

export interface FuzzOptions {
  readonly inputs: number
  /** Each chunk has the next seed. */
  readonly seed: number
  /** Inputs that were found before; they go first. */
  readonly seeds: readonly unknown[]
  /** Called before each chunk with its seed. */
  readonly onChunk?: (seed: number, done: number) => void
  /** Called before each input. */
  readonly onInput?: (input: unknown) => void
}

export interface FuzzReport {
  readonly target: string
  readonly inputs: number
  readonly seconds: number
  /** Milliseconds. */
  readonly slowest: number
  readonly slowestInput: string
  /** How much the process had grown at its largest, in megabytes. */
  readonly memory: number
  readonly seed: number
  /** The smallest input that fails and why. */
  readonly failure?: string
}

/** Inputs that were found before, of one target. */
export function seedsOf(folder: string | URL, name: string): unknown[] {
  const text = readFileSync(new URL(`${name}.json`, folder), 'utf8')
  return (JSON.parse(text) as { input: unknown }[]).map(({ input }) => input)
}

/** Feeds a target: the seeds first, then as many inputs as asked for. Ends with the first failure, made small. */
export async function fuzz(target: AnyFuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const { inputs, seed, seeds, onChunk, onInput } = options
  const started = performance.now()
  const before = process.memoryUsage.rss()
  let done = 0
  let slowest = 0
  let slowestInput = ''
  const run = async (input: unknown): Promise<void> => {
    onInput?.(input)
    done += 1
    const took = await timed(target, input, slowest)
    if (took > slowest) {
      slowest = took
      slowestInput = shortened(input)
    }
    if (took > LONGEST) throw new Error(`It took ${took.toFixed(0)} ms.`)
  }
  const report = (failure?: string): FuzzReport => ({
    target: target.name,
    inputs: done,
    seconds: (performance.now() - started) / 1000,
    slowest,
    slowestInput,
    memory: Math.max(0, process.resourceUsage().maxRSS / 1024 - before / 1024 / 1024),
    seed,
    ...(failure !== undefined && { failure }),
  })

  try {
    for (const input of seeds) {
      const failure = await run(input).catch((error: unknown) => error)
      if (failure) return report(`seed ${JSON.stringify(input)}: ${detailsOf(failure)}`)
    }
    for (let chunk = 0; chunk * CHUNK < inputs; chunk += 1) {
      onChunk?.(seed + chunk, done)
      const details = await fc.check(fc.asyncProperty(target.inputs, run), {
        numRuns: Math.min(CHUNK, inputs - chunk * CHUNK),
        seed: (seed + chunk) | 0,
      })
      if (details.failed) {
        const { counterexample, errorInstance, counterexamplePath } = details
        const where = `seed ${seed + chunk}, path ${counterexamplePath}`
        return report(`${where}: ${JSON.stringify(counterexample?.[0])}\n${detailsOf(errorInstance)}`)
      }
      const { memory } = report()
      if (memory > MEMORY_LIMIT) return report(`The process grew by ${memory.toFixed(0)} MB.`)
    }
    return report()
  } finally {
    await target.close?.()
  }
}

/** What seems slow is tried once more, and the faster time counts: compiling and collecting garbage are nobody's input. */
async function timed(target: AnyFuzzTarget, input: unknown, slowest: number): Promise<number> {
  const start = performance.now()
  await target.check(input)
  const first = performance.now() - start
  return first < 20 || first < slowest ? first : Math.min(first, await timedAgain(target, input))
}

/** A machine that others share may stand still for a while: then the time of the processor counts. */
async function timedAgain(target: AnyFuzzTarget, input: unknown): Promise<number> {
  const start = performance.now()
  const used = process.cpuUsage()
  await target.check(input)
  const took = performance.now() - start
  const { user, system } = process.cpuUsage(used)
  return took > 10 * LONGEST ? took : Math.min(took, (user + system) / 1000)
}

function shortened(input: unknown): string {
  const text = JSON.stringify(input)
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text
}

function detailsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : ''
  return `${error.stack ?? error.message}${cause}`
}
