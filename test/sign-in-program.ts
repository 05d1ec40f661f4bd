import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import type { HttpServerConfig } from '../src/config/input.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { WATCHED } from './fixtures/watched.ts'
import { type BundledProgram, buildProgram } from './session-program.ts'

export interface SignInWork {
  server: HttpServerConfig
  /** Whether there is somebody who opens URLs. */
  hasBrowser: boolean
  options?: { interactive?: 'auto' | 'always' | 'never'; callbackTimeout?: number; store?: 'memory' }
}

export interface SignInOutcome {
  act: string
  results: string[]
  error?: { code: string; message: string }
  /** Milliseconds. */
  took: number
}

/** One line of the child. */
export type SignInTold = { event: { type: string } } | { opened: string } | { outcome: SignInOutcome }

/** A process that signs in, and all that it told. */
export interface SignInProcess {
  readonly process: ChildProcess
  /** The start URLs that a browser was to be opened on. */
  readonly opened: string[]
  readonly events: LatchkeyEvent[]
  /** Has it do something: `login`, `calls 20`. */
  ask(act: string, count?: number): Promise<SignInOutcome>
  told(type: LatchkeyEvent['type']): LatchkeyEvent[]
  kill(): void
  /** Lets it come to its end by itself. */
  end(): Promise<void>
}

export interface SignInProgram {
  start(home: string, work: SignInWork): SignInProcess
  remove(): Promise<void>
}

export async function buildSignInProgram(): Promise<SignInProgram> {
  const program: BundledProgram = await buildProgram('sign-in-child')
  return { start: (home, work) => start(program.file, home, work), remove: program.remove }
}

function start(program: string, home: string, work: SignInWork): SignInProcess {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, [program, JSON.stringify(work)], {
    env: { PATH, HOME: home, LATCHKEY_HOME: home, ...WATCHED },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const opened: string[] = []
  const events: LatchkeyEvent[] = []
  const waiting: { act: string; resolve: (outcome: SignInOutcome) => void }[] = []
  const hear = (told: SignInTold): void => {
    if ('opened' in told) opened.push(told.opened)
    else if ('event' in told) events.push(told.event as LatchkeyEvent)
    else {
      const index = waiting.findIndex(({ act }) => act === told.outcome.act)
      waiting.splice(index, 1)[0]?.resolve(told.outcome)
    }
  }
  createInterface({ input: child.stdout }).on('line', (line) => hear(JSON.parse(line)))
  const exited = once(child, 'exit')
  return {
    process: child,
    opened,
    events,
    ask: (act, count = 1) =>
      new Promise((resolve) => {
        waiting.push({ act, resolve })
        child.stdin.write(`${act} ${count}\n`)
      }),
    told: (type) => events.filter((event) => event.type === type),
    kill: () => void child.kill('SIGKILL'),
    end: async () => {
      child.stdin.end()
      await exited
    },
  }
}

/** Waits until each of them has told that another process comes first. */
export async function untilQueued(
  processes: readonly SignInProcess[],
  elsewhere: 'same_login' | 'other_login',
): Promise<void> {
  for (const { told } of processes) {
    await expect.poll(() => told('sign_in_queued')).toContainEqual(expect.objectContaining({ elsewhere }))
  }
}

/** All start URLs, whoever opened them. */
export function openedBy(processes: readonly SignInProcess[]): string[] {
  return processes.flatMap(({ opened }) => opened)
}
