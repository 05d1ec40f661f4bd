import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { StoreFailedError } from '../errors/index.ts'

/** What is asked of `@napi-rs/keyring`, and what it answers. Both go through pipes: argv is open to everybody. */
interface Question {
  readonly act: 'read' | 'write' | 'delete'
  readonly service: string
  readonly name: string
  readonly text?: string
}
type Answer = { readonly text: string | null } | { readonly missing: string } | { readonly failure: string }

/**
 * The child. It ends itself when nobody has answered after a minute: until then a person may be looking at a prompt.
 *
 * Without `linux.store` the package takes the kernel's keyring where there is no Secret Service: memory that is gone after
 * a restart, and with it every login.
 */
const PROGRAM = `
const { Worker } = require('node:worker_threads')
new Worker("setTimeout(() => process.kill(process.pid, 'SIGKILL'), 60000)", { eval: true }).unref()
const answer = (value) => process.stdout.write(JSON.stringify(value), () => process.exit())
const failed = (error) => answer({ failure: String(error && error.message) })
process.stdout.on('error', () => process.exit())
let question = ''
process.stdin.on('data', (chunk) => { question += chunk }).on('end', () => {
  const { act, service, name, text } = JSON.parse(question)
  let keyring
  try { keyring = require(process.argv[1]) } catch (error) { return answer({ missing: String(error.message) }) }
  try {
    const entry = new keyring.AsyncEntry(service, name, { linux: { store: 'secret-service' } })
    const work = act === 'read' ? entry.getPassword() : act === 'write' ? entry.setPassword(text) : entry.deletePassword()
    work.then((value) => answer({ text: act === 'read' ? value : null }), failed)
  } catch (error) { failed(error) }
})
`

/**
 * The keychain of the system, each question in a process of its own. In this one a bus that does not answer would stop
 * everything: the package waits for it without giving the thread back, and no time limit could be kept.
 *
 * Keeps the process alive for nothing: who waits for an answer has a limit of time.
 */
export async function openKeychainEntry(service: string, name: string) {
  const keyring = keyringPath()
  return {
    read: async () => (await ask(keyring, { act: 'read', service, name })) ?? undefined,
    write: async (value: string) => void (await ask(keyring, { act: 'write', service, name, text: value })),
    delete: async () => void (await ask(keyring, { act: 'delete', service, name })),
  }
}

function keyringPath(): string {
  try {
    return createRequire(import.meta.url).resolve('@napi-rs/keyring')
  } catch (error) {
    throw notInstalled(error)
  }
}

async function ask(keyring: string, question: Question): Promise<string | null> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, ['-e', PROGRAM, keyring], {
    env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
    windowsHide: true,
  })
  child.unref()
  for (const pipe of [child.stdin, child.stdout]) (pipe as typeof pipe & { unref?(): void }).unref?.()
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(question))
  const said = await Promise.race([text(child.stdout), failed])
  if (said === '') throw new Error('The keychain ended without an answer.')
  const answer = JSON.parse(said) as Answer
  if ('missing' in answer) throw notInstalled(new Error(answer.missing))
  if ('failure' in answer) throw new Error(answer.failure)
  return answer.text
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
