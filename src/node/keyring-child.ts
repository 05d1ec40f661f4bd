import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { StoreFailedError } from '../errors/index.ts'

/** What is asked of `@napi-rs/keyring`, and what it answers: one line each, through pipes. argv is open to everybody. */
interface Question {
  readonly act: 'read' | 'write' | 'delete'
  readonly name: string
  readonly text?: string
}
type Answer = { readonly text: string | null } | { readonly missing: string } | { readonly failure: string }

/**
 * The child. It ends with its parent, but for an open question, and that after a minute: until then a person may be looking at
 * a prompt.
 *
 * Without `linux.store` the package takes the kernel's keyring where there is no Secret Service: memory that is gone after
 * a restart, and with it every login.
 */
const PROGRAM = `
const { Worker } = require('node:worker_threads')
const { createInterface } = require('node:readline')
new Worker("setTimeout(() => process.kill(process.pid, 'SIGKILL'), 60000)", { eval: true }).unref()
const [, modulePath, service] = process.argv
const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\\n')
const ask = async ({ act, name, text }) => {
  let keyring
  try { keyring = require(modulePath) } catch (error) { return { missing: String(error.message) } }
  try {
    const entry = new keyring.AsyncEntry(service, name, { linux: { store: 'secret-service' } })
    if (act === 'read') return { text: await entry.getPassword() }
    await (act === 'write' ? entry.setPassword(text) : entry.deletePassword())
    return { text: null }
  } catch (error) { return { failure: String(error.message) } }
}
process.stdout.on('error', () => process.exit())
let asked = Promise.resolve()
createInterface({ input: process.stdin })
  .on('line', (line) => { asked = asked.then(() => ask(JSON.parse(line))).then(say) })
  .on('close', () => asked.then(() => process.exit()))
`

/**
 * The keychain of the system, in a process of its own. In this one a bus that does not answer would stop everything: the
 * package waits for it without giving the thread back, and no limit of time could be kept.
 *
 * Waiting for an answer keeps this process from nothing, not even from ending.
 */
export function openSystemKeychain(service: string) {
  const keyring = keyringPath()
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, ['-e', PROGRAM, keyring, service], {
    env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
    windowsHide: true,
  })
  release(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let failed: Error | undefined
  child.once('error', (error) => {
    failed = error
  })

  const ask = async (question: Question): Promise<string | null> => {
    child.stdin.write(`${JSON.stringify(question)}\n`)
    const { value, done } = await lines.next()
    if (done) throw failed ?? new Error('the process that asks it ended without an answer')
    const answer = JSON.parse(value) as Answer
    if ('missing' in answer) throw notInstalled(new Error(answer.missing))
    if ('failure' in answer) throw new Error(answer.failure)
    return answer.text
  }
  return {
    read: async (name: string) => (await ask({ act: 'read', name })) ?? undefined,
    write: async (name: string, text: string) => void (await ask({ act: 'write', name, text })),
    delete: async (name: string) => void (await ask({ act: 'delete', name })),
    close: () => child.stdin.end(),
  }
}

function release(child: ChildProcess): void {
  child.unref()
  for (const pipe of [child.stdin, child.stdout]) {
    pipe?.on('error', () => {})
    ;(pipe as { unref?(): void } | null)?.unref?.()
  }
}

function keyringPath(): string {
  try {
    return createRequire(import.meta.url).resolve('@napi-rs/keyring')
  } catch (error) {
    throw notInstalled(error)
  }
}

function notInstalled(cause: unknown): StoreFailedError {
  return new StoreFailedError({
    location: '@napi-rs/keyring',
    message:
      'The keychain of the system cannot be used: @napi-rs/keyring is not installed, or not for this system.',
    remedy: 'Install it beside latchkey: npm install @napi-rs/keyring',
    cause,
  })
}
