import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { build } from 'esbuild'
import { WATCHED } from './fixtures/watched.ts'

/** A folder of its own under the system's temporary folder; `remove` it in the end. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'latchkey-store-'))
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}

/** Bundles `store-child.ts` into one file that plain Node runs. */
export async function buildStoreChild(folder: string): Promise<string> {
  const outfile = join(folder, 'store-child.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'store-child.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile,
    logLevel: 'silent',
  })
  return outfile
}

/** Bundles `fleet-child.ts` where the drivers and the keychain's package are found, which stay outside. */
export async function buildFleetChild(): Promise<{ program: string; remove(): Promise<void> }> {
  const cache = join(import.meta.dirname, '../node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'fleet-'))
  const program = join(folder, 'fleet-child.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'fleet-child.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    outfile: program,
    logLevel: 'silent',
  })
  return { program, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) }
}

/** A child and the lines it says. */
export interface StoreChild {
  readonly process: ChildProcess
  /** The next thing it says, as parsed JSON. */
  next(): Promise<unknown>
  /** Sends a line and waits for the answer. */
  ask(line: string): Promise<unknown>
  /** Resolves to the exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

/** @param prefix a program that runs it, with its arguments */
export function startStoreChild(
  program: string,
  args: readonly string[],
  { env = process.env, prefix = [] }: { env?: NodeJS.ProcessEnv; prefix?: readonly string[] } = {},
): StoreChild {
  const [command = '', ...rest] = [...prefix, process.execPath, program, ...args]
  const child = spawn(command, rest, { env: { ...env, ...WATCHED }, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`the child ended (${await ended}) and said nothing`)
    return JSON.parse(value)
  }
  return {
    process: child,
    next,
    ended,
    ask: (line) => {
      child.stdin.write(`${line}\n`)
      return next()
    },
  }
}
