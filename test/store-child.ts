/**
 * What the process-level tests of the file store run in children of their own: `node store-child.mjs ROLE HOME …`.
 * Talks in lines on stdout; `talk` waits for lines on stdin.
 */
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createFileStore } from '../src/node/file-store.ts'
import { createTrustStore } from '../src/node/trust-store.ts'
import type { CredentialKey, Lease } from '../src/ports.ts'

const [role = '', home = '', ...rest] = process.argv.slice(2)
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
const emit = (event: { type: string; code?: string; message?: string }): void => say({ event })
const store = createFileStore({ home, emit })

function tokens(path: string, account: string | null = null): CredentialKey {
  const identity = { server_url: `https://mcp.example.com/${path}`, configured_client_id: null }
  return { kind: 'tokens', serverDomain: 'mcp.example.com', account, identity }
}

const registration: CredentialKey = {
  kind: 'registrations',
  serverDomain: 'mcp.example.com',
  account: 'jane@example.com',
  identity: { issuer: 'https://as.example.com', redirect_uri: 'http://localhost:8080/callback' },
}

/** In and out of the lock, with a counter that loses counts when two are in at once. */
async function rounds(folder: string, count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    const lease = await store.lock(tokens('shared'))
    appendFileSync(`${folder}/log`, `in ${process.pid}\n`)
    const before = Number(readFileSync(`${folder}/counter`, 'utf8'))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
    writeFileSync(`${folder}/counter`, String(before + 1))
    appendFileSync(`${folder}/log`, `out ${process.pid}\n`)
    await lease.release()
  }
}

/** Writes records of its own into a document that others change as well. */
async function records(label: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    const key = tokens(`${label}-${number}`)
    await store.write(key, { ...key.identity, access_token: `token of ${label}` })
  }
}

/** Writes one growing and shrinking record until it is killed. */
async function writeForever(): Promise<void> {
  const key = tokens('shared')
  for (let number = 0; ; number++) {
    await store.write(key, { ...key.identity, number, padding: 'x'.repeat((number % 50) * 1000) })
    if (number === 0) say('writing')
  }
}

/** Everything the store does to files, once. */
async function wholeLife(): Promise<void> {
  for (const key of [tokens('shared'), tokens('shared', 'jane@example.com'), registration]) {
    const lease = await store.lock(key)
    const { revision } = await store.write(key, { ...key.identity, access_token: 'canary' })
    await store.write(key, { ...key.identity, access_token: 'canary 2' }, { ifRevision: revision })
    await lease.release()
    await store.list({ kind: key.kind })
    await store.delete(key)
  }
  truncateSync(store.locate(tokens('shared')))
  await store.read(tokens('shared'))
  const config = rest[0]
  if (config) await trustStore().trust(config, readFileSync(config, 'utf8'))
}

/** An error as a line, for who asked. */
function asAnswer(error: unknown): unknown {
  const { code, message } = error as Error & { code?: string }
  return { code, message }
}

const trustStore = () => createTrustStore({ home, emit })

/** Does what the lines on stdin say and answers each. */
async function talk(): Promise<void> {
  const key = tokens('shared')
  let lease: Lease | undefined
  const acts: Record<string, () => Promise<unknown>> = {
    lock: async () => {
      lease = await store.lock(key)
      return 'locked'
    },
    held: async () => lease?.isHeld(),
    release: async () => lease?.release(),
    read: async () => (await store.read(key))?.record.access_token ?? null,
    write: async () => (await store.write(key, { ...key.identity, access_token: `of ${rest[0]}` })).revision,
    trust: () => trustStore().trust(rest[0]!, readFileSync(rest[0]!, 'utf8')),
    trusts: () => trustStore().isTrusted(rest[0]!, readFileSync(rest[0]!, 'utf8')),
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const act = acts[line]
    say(act ? ((await act().catch(asAnswer)) ?? null) : `unknown: ${line}`)
  }
}

const [first = '', second = ''] = rest
if (role === 'rounds') await rounds(first, Number(second))
else if (role === 'records') await records(first, Number(second))
else if (role === 'write-forever') await writeForever()
else if (role === 'whole-life') await wholeLife()
else if (role === 'talk') await talk()
else throw new Error(`unknown role ${role}`)
