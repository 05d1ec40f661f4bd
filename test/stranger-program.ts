import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { McpServersConfig } from '../src/config/input.ts'

/** Of one server: what its `whoami` said, or the error. */
export type Outcome = { said: string } | { code: string; message: string }
export type Outcomes = Record<string, Outcome>

/** One process that uses the packed library, with all servers of a config. */
export interface Stranger {
  /** Opens what is not open, and calls a tool of every server. */
  useAll(): Promise<Outcomes>
  /** Sends every server a POST with `authorizedFetch`: `HTTP 200`, or the error. */
  postToAll(): Promise<Outcomes>
  end(): Promise<void>
}

/**
 * Starts `stranger-child.ts`, bundled into the project of the packed package.
 *
 * @param prefix a command that runs it, such as `strace`
 */
export function startStranger(
  program: string,
  config: McpServersConfig,
  env: Readonly<Record<string, string | undefined>>,
  prefix: readonly string[] = [],
): Stranger {
  const [file = '', ...argv] = [...prefix, process.execPath, program, JSON.stringify(config)]
  const child = spawn(file, argv, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  child.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ask = async (act: 'use' | 'post') => {
    child.stdin.write(`${act}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error(`the program ended: ${stderr}`)
    return JSON.parse(value) as Outcomes
  }
  return {
    useAll: () => ask('use'),
    postToAll: () => ask('post'),
    end: async () => {
      child.stdin.end()
      await ended
    },
  }
}

/** What is compared: `alice`, or the code of an error. */
export function summary(outcomes: Outcomes): Record<string, string> {
  return Object.fromEntries(
    Object.entries(outcomes).map(([name, outcome]) => [
      name,
      'said' in outcome ? outcome.said : outcome.code,
    ]),
  )
}
