import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import type { HttpServerConfig } from '../src/config/input.ts'
import type { LatchkeyEvent } from '../src/events.ts'

/** What one process is to do: open a session, call `whoami` so many times at once, close, end by itself. */
export interface SessionWork {
  server: HttpServerConfig
  calls?: number
  interactive?: 'auto' | 'always' | 'never'
}

export interface SessionOutcome {
  said?: string[]
  error?: { code: string | undefined; message: string }
  /** `token POST 200`, in order. */
  exchanges: string[]
  events: LatchkeyEvent['type'][]
}

export interface FinishedSession extends SessionOutcome {
  exitCode: number | null
  stderr: string
  /** Milliseconds from the last act of the program to its end. */
  lingered: number
}

/** A program in a file, which can be run many times. */
export interface SessionProgram {
  run(home: string, work: SessionWork): Promise<FinishedSession>
  remove(): Promise<void>
}

/** A program for `BROWSER`: signs in as a person would. */
export const consentBrowser = new URL('./fixtures/consent-browser.mjs', import.meta.url).pathname

/** A program bundled into one file that plain Node runs. */
export interface BundledProgram {
  readonly file: string
  remove(): Promise<void>
}

/** Bundles `session-child.ts`. */
export async function buildSessionProgram(): Promise<SessionProgram> {
  const { file, remove } = await buildProgram('session-child')
  return { run: (home, work) => run(file, home, work), remove }
}

const cache = join(import.meta.dirname, '../node_modules/.cache')

/**
 * Bundles `NAME.ts` of this folder into a file that Node runs.
 *
 * @param project where its packages are found, `latchkey` among them; default the checkout
 */
export async function buildProgram(name: string, project = cache): Promise<BundledProgram> {
  await mkdir(project, { recursive: true })
  const folder = await mkdtemp(join(project, 'program-'))
  const file = join(folder, `${basename(name)}.mjs`)
  await build({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    bundle: true,
    packages: 'external',
    // Else it would be the sources, by `paths` of tsconfig.json.
    external: ['latchkey'],
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile: file,
    logLevel: 'silent',
  })
  return { file, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }) }
}

async function run(program: string, home: string, work: SessionWork): Promise<FinishedSession> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [program, JSON.stringify(work)], {
    env: { PATH, HOME: home, LATCHKEY_HOME: home, BROWSER: consentBrowser },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
  const [exitCode] = (await once(child, 'exit')) as [number | null]
  const ended = Date.now()
  const said = await stdout
  if (said === '') throw new Error(`the program said nothing (${exitCode}): ${await stderr}`)
  const { finished, ...outcome } = JSON.parse(said) as SessionOutcome & { finished: number }
  return { ...outcome, exitCode, stderr: await stderr, lingered: ended - finished }
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  let all = ''
  for await (const chunk of stream) all += String(chunk)
  return all
}
