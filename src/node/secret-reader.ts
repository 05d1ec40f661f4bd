import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { bareCause } from '../errors/bare-cause.ts'
import type { SecretReader } from '../ports.ts'
import type { PathEnvironment } from './paths.ts'
import { readNamedFile } from './plain-file.ts'

/** Longer than any token or key, in bytes. */
const LIMIT = 262_144
/** How long a program may take to print a secret, in milliseconds. */
const PATIENCE = 30_000

/** Secrets of this machine: files, variables, and what programs print. */
export function createSecretReader({ env, homedir }: PathEnvironment): SecretReader {
  return {
    readFile: async (path) => {
      const whole = path.startsWith('~/') ? join(homedir, path.slice(2)) : path
      // Links are followed: Kubernetes exchanges a mounted secret by turning one.
      const { bytes } = await readNamedFile(whole, { limit: LIMIT })
      return new TextDecoder().decode(bytes)
    },
    readVariable: (name) => env[name],
    run: (command) => output(command),
  }
}

function output([program = '', ...args]: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // Its own talk belongs to the person, as with every program of a configuration.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], windowsHide: true })
    const parts: Buffer[] = []
    let size = 0
    const giveUp = (why: string) => {
      child.kill('SIGKILL')
      reject(new Error(why))
    }
    const timer = setTimeout(() => giveUp(`it did not end within ${PATIENCE / 1000} s`), PATIENCE)
    child.stdout.on('data', (part: Buffer) => {
      parts.push(part)
      size += part.length
      if (size > LIMIT) giveUp('it printed more than 256 KB')
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      // Node's has the arguments of the program.
      reject(bareCause(error))
    })
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve(Buffer.concat(parts).toString('utf8'))
      else reject(new Error(code === null ? `it was ended by ${signal}` : `it ended with code ${code}`))
    })
  })
}
