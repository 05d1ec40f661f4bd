import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeRegistration, decodeTokenSet } from '../src/credentials/record.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import { systemClock } from '../src/node/clock.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { createGenerationLocks } from '../src/node/generation-lock.ts'
import {
  type CredentialDocument,
  credentialCodec,
  findRecord,
  type Migration,
  withRecord,
} from '../src/node/store-document.ts'
import { openDocument } from '../src/node/store-document-file.ts'
import { createStoreFolder } from '../src/node/store-folder.ts'
import { documentLocation } from '../src/node/store-folder-layout.ts'
import type { CredentialKey, JsonObject } from '../src/ports.ts'

/** One folder for each version that a release has written; what is in it was readable then, and has to stay so. */
const versions = fileURLToPath(new URL('./fixtures/store-versions', import.meta.url))
const fixtures = readdirSync(versions).flatMap((version) =>
  readdirSync(join(versions, version)).map((name) => `${version}/${name}`),
)

let home: string
let events: LatchkeyEvent[]
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'latchkey-upgrade-'))
  events = []
})
afterEach(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }))

const emit = (event: LatchkeyEvent) => void events.push(event)
const place = { serverDomain: 'mcp.example.com', account: null } as const
const put = (kind: CredentialKey['kind'], text: string): string => {
  const { path } = documentLocation(home, { kind, ...place })
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, text, { mode: 0o600 })
  return path
}
const other: CredentialKey = {
  kind: 'tokens',
  ...place,
  identity: { server_url: 'https://mcp.example.com/other', configured_client_id: null },
}

test.each(fixtures)(
  '%s is read whole, and nothing of it is lost when another record is written',
  async (name) => {
    const text = readFileSync(join(versions, name), 'utf8')
    const before = JSON.parse(text) as CredentialDocument
    const { kind } = before
    const path = put(kind, text)
    const store = createFileStore({ home, emit })
    const [stored] = await store.list({ kind })
    const decoded = kind === 'tokens' ? decodeTokenSet(stored!.record) : decodeRegistration(stored!.record)
    expect(decoded).toBeDefined()
    expect(await store.read(stored!.key)).toEqual(stored)
    const key =
      kind === 'tokens'
        ? other
        : {
            ...other,
            kind,
            identity: { issuer: 'https://as.example.com', redirect_uri: 'http://localhost:1/callback' },
          }
    await store.write(key, { ...key.identity })
    const after = JSON.parse(readFileSync(path, 'utf8')) as CredentialDocument
    expect(after).toEqual({ ...before, records: [...before.records, expect.objectContaining(key.identity)] })
    expect(events).toEqual([])
  },
)

describe('a codec with migrations', () => {
  /** Two steps that no release has: `issuer` becomes `authorization_server`, then every record gets a member. */
  const eachRecord = (change: (record: JsonObject) => JsonObject): Migration => {
    return (document) => ({
      ...document,
      records: (document.records as JsonObject[]).map((record) => change(record)),
    })
  }
  const migrations: Migration[] = [
    eachRecord(({ issuer, ...record }) => ({ ...record, authorization_server: issuer ?? null })),
    eachRecord((record) => ({ ...record, generation: 3 })),
  ]
  const key: CredentialKey = {
    kind: 'tokens',
    ...place,
    identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
  }
  const open = (steps: readonly Migration[]) => {
    const location = documentLocation(home, key)
    const folder = createStoreFolder({ home, emit })
    const locks = createGenerationLocks({ clock: systemClock })
    return openDocument(location.path, credentialCodec(location, steps), { folder, locks, emit })
  }
  const first = () => readFileSync(join(versions, 'v1', 'first-release.json'), 'utf8')

  test('reads every earlier version as the current one and leaves the file as it is', async () => {
    const path = put('tokens', first())
    const document = await open(migrations).read()
    expect(document?.version).toBe(3)
    expect(findRecord(document!, key)?.record).toMatchObject({
      authorization_server: 'https://as.example.com',
      generation: 3,
      refresh_token: 'refresh-token-of-v1',
    })
    expect(readFileSync(path, 'utf8')).toBe(first())
  })

  test('begins at the version that the document has', async () => {
    const second = { ...(JSON.parse(first()) as JsonObject), version: 2 }
    put('tokens', JSON.stringify(second))
    const { record } = findRecord((await open(migrations).read())!, key)!
    expect(record).toMatchObject({ issuer: 'https://as.example.com', generation: 3 })
    expect(record).not.toHaveProperty('authorization_server')
  })

  test('writes the new version with the next change, all records migrated once', async () => {
    const path = put('tokens', first())
    const written = { record: { ...other.identity, generation: 3 }, revision: 'r' }
    await open(migrations).update((document) => withRecord(document!, other, written))
    const after = JSON.parse(readFileSync(path, 'utf8')) as CredentialDocument
    expect(after.version).toBe(3)
    expect(after.records).toMatchObject([{ authorization_server: 'https://as.example.com' }, other.identity])
    expect((await open(migrations).read())?.records).toEqual(after.records)
  })

  test('a release without them leaves what they wrote alone, and says so', async () => {
    const path = put('tokens', first())
    await open(migrations).update((document) => document)
    const newer = readFileSync(path, 'utf8')
    expect(JSON.parse(newer)).toMatchObject({ version: 3 })
    for (const attempt of [() => open([]).read(), () => open([]).update((document) => document)]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'store_failed',
        message: expect.stringContaining('later version of latchkey (format version 3)'),
      })
    }
    expect(readFileSync(path, 'utf8')).toBe(newer)
  })

  test('a document that its migration cannot read is set aside; other servers keep theirs', async () => {
    const path = put('tokens', JSON.stringify({ ...(JSON.parse(first()) as JsonObject), records: 7 }))
    expect(await open(migrations).read()).toBeUndefined()
    expect(readFileSync(`${path}.corrupt-1`, 'utf8')).toContain('"records":7')
    expect(events).toMatchObject([{ type: 'warning', code: 'store_file_set_aside' }])
  })
})
