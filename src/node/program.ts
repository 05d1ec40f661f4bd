import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** A program to run in the place of this one: no shell takes part, and its input and output are ours. */
export interface Program {
  readonly file: string
  readonly args: readonly string[]
  /** The whole of its environment. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A program that was started, or is about to be found missing. */
export interface RunningProgram {
  /** Resolves to its exit code, 128+n where signal n ended it. Rejects with the system's error when it did not start. */
  readonly ended: Promise<number>
  /** Passes a signal on. */
  signal(name: NodeJS.Signals): void
}

export function startProgram({ file, args, env }: Program): RunningProgram {
  const child = spawn(file, args, { env, stdio: 'inherit', shell: false })
  return {
    ended: new Promise((resolve, reject) => {
      // Also for a signal that may not be sent, to a program of another user: that one runs on.
      child.on('error', (error) => {
        if (child.pid === undefined) reject(error)
      })
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]))
    }),
    signal: (name) => void child.kill(name),
  }
}
