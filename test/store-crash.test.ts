import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LatchkeyEvent } from '../src/events.ts'
import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialKey } from '../src/ports.ts'
import { buildStoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

/** A long run: `LATCHKEY_TEST_KILLS=1000`. */
const KILLS = Number(process.env.LATCHKEY_TEST_KILLS ?? 20)

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let program = ''

beforeAll(async () => {
  folder = await temporaryFolder()
  program = await buildStoreChild(folder.path)
})
afterAll(() => folder.remove())

const key: CredentialKey = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/shared', configured_client_id: null },
}

test(`[STORE-03] killed ${KILLS} times while it writes: the document is whole each time, leftovers go`, {
  timeout: 30_000 + KILLS * 5000,
}, async () => {
  const home = join(folder.path, 'home')
  const events: LatchkeyEvent[] = []
  // Takes over sooner than in life: the children are dead for certain, not slow.
  const store = createFileStore({ home, emit: (event) => events.push(event), staleAfter: 400 })
  const other = { ...key, identity: { ...key.identity, server_url: 'https://mcp.example.com/other' } }
  await store.write(other, { ...other.identity, access_token: 'untouched' })

  for (let kill = 0; kill < KILLS; kill++) {
    const child = startStoreChild(program, ['write-forever', home])
    expect(await child.next()).toBe('writing')
    // At a random moment: what is tested is that there is no bad one.
    await sleep(Math.random() * 30)
    child.process.kill('SIGKILL')
    expect(await child.ended).toBe('SIGKILL')

    JSON.parse(await readFile(store.locate(key), 'utf8'))
    expect((await store.read(key))?.record.number).toBeGreaterThanOrEqual(0)
    await store.write(key, { ...key.identity, number: 0 })
    expect((await store.read(other))?.record.access_token).toBe('untouched')
  }
  expect(events).toEqual([])
  const left = await readdir(home, { recursive: true })
  expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([])
  expect(left.filter((name) => name.includes('document.')).length).toBeLessThanOrEqual(3)
})
