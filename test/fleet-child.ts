/**
 * What the tests of the stores of fleets, and of the keychain, run in processes of their own:
 * `node fleet-child.mjs ROLE STORE PLACE KEY …`. Talks in lines of JSON on stdout; `talk` waits for lines on stdin.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createKeychainFileStore } from '../src/keychain-store.ts'
import { openSystemKeychain } from '../src/node/keyring-child.ts'
import type { CredentialKey, CredentialStore, Lease } from '../src/ports.ts'
import { createPostgresStore } from '../src/stores/postgres.ts'
import { createRedisStore } from '../src/stores/redis.ts'
import { storeContract } from '../src/stores/store-contract.ts'
import { connectPostgres, connectRedis } from './fixtures/databases.ts'

const [role = '', kind = '', place = '', secret = '', ...rest] = process.argv.slice(2)
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
const keys = { current: 'k1', keys: { k1: secret } }
const mode = kind === 'auto' ? 'auto' : 'keychain'
let homes = 0

async function openStore(): Promise<CredentialStore> {
  if (kind === 'redis') return createRedisStore({ client: await connectRedis(), keys, prefix: place })
  if (kind === 'postgres') return createPostgresStore({ pool: connectPostgres(), keys, table: place })
  return openKeychain(place)
}

function openKeychain(home: string): CredentialStore {
  return createKeychainFileStore({ home, mode, emit: (event) => say({ event }) })
}

const key: CredentialKey = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
}

/** In and out of the lock, with a counter that loses counts when two are in at once. */
async function rounds(store: CredentialStore, folder: string, count: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    const lease = await store.lock(key)
    appendFileSync(`${folder}/log`, `in ${process.pid}\n`)
    const before = Number(readFileSync(`${folder}/counter`, 'utf8'))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
    writeFileSync(`${folder}/counter`, String(before + 1))
    appendFileSync(`${folder}/log`, `out ${process.pid}\n`)
    await lease.release()
  }
}

/** Runs the contract in this process and says how each case ended. */
async function contract(): Promise<void> {
  const cases = storeContract({ create: () => openKeychain(`${place}/${homes++}`) })
  for (const { name, run } of cases) {
    const failure = await run().then(
      () => null,
      (error) => String(error),
    )
    say({ name, failure })
  }
}

/** Reads an entry of the keychain that is not there. */
async function entry(): Promise<void> {
  // Waiting for a keychain keeps no process alive.
  setTimeout(() => {}, 10_000)
  const keychain = openSystemKeychain('latchkey test')
  say(await keychain.read('entry').then(() => 'read', String))
}

/** Does what the lines on stdin say and answers each; what fails answers with its code. */
async function talk(store: CredentialStore): Promise<void> {
  let lease: Lease | undefined
  const acts: Record<string, () => Promise<unknown>> = {
    lock: async () => {
      lease = await store.lock(key)
      return 'locked'
    },
    held: async () => lease?.isHeld(),
    release: async () => lease?.release(),
    read: async () => (await store.read(key))?.record.access_token ?? null,
    write: async () => {
      await store.write(key, { ...key.identity, access_token: `of ${rest[0]}` })
      return 'written'
    },
    list: async () => (await store.list({ kind: 'tokens' })).length,
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const act = acts[line]
    const started = performance.now()
    const failed = (error: { code?: string; message: string }) => ({
      code: error.code ?? 'none',
      message: error.message,
      duration: Math.round(performance.now() - started),
    })
    say(act ? ((await act().catch(failed)) ?? null) : `unknown: ${line}`)
  }
}

if (role === 'contract') await contract()
else if (role === 'entry') await entry()
else if (role === 'rounds') await rounds(await openStore(), rest[0]!, Number(rest[1]))
else if (role === 'talk') await talk(await openStore())
else throw new Error(`unknown role ${role}`)
process.exit(0)
