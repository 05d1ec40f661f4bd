/**
 * The entry of the command: small and CommonJS, so that what programs ask often (`--version`, `token`) is answered before
 * Node has loaded anything else.
 */
import { writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { answerAtOnce } from './cli/help.ts'
import type { CommandIo, Output, PassedSignal } from './cli/io.ts'
import { storedToken } from './stored-token.ts'

/** Milliseconds that open sockets (the browser fetching its last page) may keep the process after the work is done. */
const LINGER = 1500

/** Built of `command.ts`. Not an import by name: it exists only beside the built entry. */
const REST: string = './cli.js'

function start(): void {
  const argv = process.argv.slice(2)
  const answer = answerAtOnce(argv) ?? plainToken(argv)
  if (answer === undefined) void runRest(argv)
  else print(answer)
}

/** Without `process.stdout`, whose set-up takes longer than the answer. */
function print(text: string): void {
  try {
    writeSync(1, text)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // The reader of a pipe may leave early (`| head`): that is no failure. A full pipe has to be waited for.
    if (code === 'EAGAIN') process.stdout.write(text)
    else if (code !== 'EPIPE') throw error
  }
}

function plainToken(argv: readonly string[]): string | undefined {
  if (argv[0] !== 'token') return undefined
  const token = storedToken(argv, {
    env: process.env,
    homedir: homedir(),
    platform: process.platform,
    workingDirectory: process.cwd(),
    now: Date.now(),
    uid: process.geteuid?.(),
    sha256: (text) =>
      process.getBuiltinModule('node:crypto').createHash('sha256').update(text, 'utf8').digest('hex'),
  })
  return token === undefined ? undefined : `${token}\n`
}

async function runRest(argv: readonly string[]): Promise<void> {
  const { main } = (await import(REST)) as typeof import('./command.ts')
  // As above, whenever it happens.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  process.exitCode = await main(argv, processIo())
  setTimeout(() => process.exit(), LINGER).unref()
}

function processIo(): CommandIo {
  const interrupt = new AbortController()
  let end = (_signal: PassedSignal): void => {
    // Asked a second time: at once.
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => end(signal))
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    stdin: { isTerminal: process.stdin.isTTY === true, readAll: readStdin, readLine },
    env: process.env,
    signal: interrupt.signal,
    passSignals: (listener) => {
      end = listener
      process.on('SIGHUP', () => end('SIGHUP'))
    },
  }
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return { write: (text) => void stream.write(text), isTerminal: stream.isTTY === true }
}

async function readStdin(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
  return text
}

function readLine(): Promise<string> {
  const { stdin } = process
  return new Promise((resolve) => {
    let text = ''
    const take = (chunk = '\n') => {
      text += chunk
      if (!text.includes('\n')) return
      stdin.off('data', take).off('end', take).pause()
      resolve(text.slice(0, text.indexOf('\n')).trim())
    }
    stdin.setEncoding('utf8').on('data', take).on('end', take).resume()
  })
}

start()
