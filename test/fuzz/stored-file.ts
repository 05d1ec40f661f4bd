import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { IDENTITY_MEMBERS, isJsonObject } from '../../src/credential-key.ts'
import { misfit } from '../../src/credentials/misfit.ts'
import {
  decodePendingSignIn,
  decodePinnedIssuer,
  decodeRegistration,
  decodeTokenSet,
} from '../../src/credentials/record.ts'
import { readForeignLogin } from '../../src/hosts/foreign-login.ts'
import { createFileStore } from '../../src/node/file-store.ts'
import {
  type CredentialDocument,
  credentialCodec,
  encodeDocument,
  findRecord,
  recordsOf,
  withoutRecord,
  withRecord,
} from '../../src/node/store-document.ts'
import { createTrustStore } from '../../src/node/trust-store.ts'
import type { CredentialKey, JsonObject } from '../../src/ports.ts'
import { sealedWith } from '../../src/record-seal.ts'
import { createKeychainSeal } from '../../src/stores/keychain-seal.ts'
import { createRecordCipher } from '../../src/stores/record-cipher.ts'
import { openRow, rowId } from '../../src/stores/sealed-row.ts'
import { brokenDocument, jsonObject, listOf, oneOf, stringLike } from './broken-json.ts'
import { broken } from './broken-text.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import {
  assertKeepsSecret,
  assertPlain,
  assertPrototypesClean,
  assertShowable,
  outcomeOf,
} from './invariants.ts'

export interface StoredFileInput {
  /**
   * A document as text; the same as a file on the disk; what another program stored; a record that was sealed with our
   * key, or with any bytes for it.
   */
  readonly of: 'document' | 'disk' | 'trust' | 'foreign' | 'row' | 'sealed'
  readonly kind: CredentialKey['kind']
  /** UTF-8, as the characters U+0000 to U+00FF. */
  readonly bytes: string
}

const SERVER = 'https://mcp.example.com/mcp'
const KEYS: Readonly<Record<CredentialKey['kind'], CredentialKey>> = {
  tokens: keyOf('tokens', { server_url: SERVER, configured_client_id: null }),
  registrations: keyOf('registrations', {
    issuer: 'https://as.example.com',
    redirect_uri: 'http://localhost:8080/callback',
  }),
  issuers: keyOf('issuers', { server_url: SERVER, configured_client_id: 'client' }),
  sign_ins: keyOf('sign_ins', { state: 'st4t3-0f-th3-s1gn-1n' }),
}

function keyOf(kind: CredentialKey['kind'], identity: CredentialKey['identity']): CredentialKey {
  return { kind, serverDomain: 'mcp.example.com', account: null, identity }
}

const SECRETS = ['4cc3ss-QWEASDZXC', 'r3fr3sh-RTYFGHVBN', 'cl13nt-UIOJKLNM']
const url = stringLike('https://as.example.com', 'http://localhost:8080/callback', SERVER)
const dpopKey = oneOf(
  { kty: 'EC', crv: 'P-256', x: 'x'.repeat(43), y: 'y'.repeat(43), d: 'd'.repeat(43) },
  { kty: 'EC' },
)
const method = stringLike('none', 'client_secret_basic', 'client_secret_post')
const RECORDS: Readonly<Record<CredentialKey['kind'], fc.Arbitrary<string>>> = {
  tokens: jsonObject({
    server_url: oneOf(SERVER),
    configured_client_id: oneOf(null, null, 'other'),
    account: oneOf(null),
    issuer: url,
    resource: url,
    client_id: stringLike('client'),
    client_secret: oneOf(SECRETS[2]),
    token_endpoint_auth_method: method,
    client_kind: stringLike('dynamic', 'pre-registered'),
    redirect_uri: url,
    token_endpoint: url,
    access_token: oneOf(SECRETS[0]),
    token_type: oneOf('bearer', 'bearer', 'dpop'),
    dpop_key: fc.oneof(oneOf(null), dpopKey),
    expires_at: oneOf(1_800_000_000),
    refresh_token: oneOf(SECRETS[1]),
    obtained_at: oneOf(1_700_000_000),
    revision: stringLike('0123456789abcdef'),
  }),
  registrations: jsonObject({
    issuer: oneOf('https://as.example.com'),
    redirect_uri: oneOf('http://localhost:8080/callback'),
    client_id: stringLike('client'),
    client_secret: oneOf(SECRETS[2]),
    client_secret_expires_at: oneOf(0, 1_800_000_000),
    token_endpoint_auth_method: method,
    created_at: oneOf(1_700_000_000),
    revision: stringLike('0123456789abcdef'),
  }),
  issuers: jsonObject({
    server_url: oneOf(SERVER),
    configured_client_id: oneOf('client', 'client', null),
    issuer: url,
    pinned_at: oneOf(1_700_000_000),
    revision: stringLike('0123456789abcdef'),
  }),
  sign_ins: jsonObject({
    state: oneOf('st4t3-0f-th3-s1gn-1n'),
    code_verifier: stringLike('v'),
    redirect_uri: url,
    issuer: url,
    token_endpoint: url,
    token_endpoint_auth_methods_supported: oneOf(['none'], {}),
    client_id: stringLike('client'),
    client_kind: stringLike('pre-registered', 'dynamic'),
    registration: oneOf({ client_id: 'c' }, null),
    expires_at: oneOf(1_800_000_000),
  }),
}
const SEALED = oneOf(
  'v1.k1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'v1.k2.AAAA',
  'v2.k1.AAAA',
  'v1.k1.A',
  'v1..',
)
const sealedRecord = jsonObject({
  server_url: oneOf(SERVER),
  configured_client_id: oneOf(null),
  sealed: fc.oneof(
    SEALED,
    broken(fc.constant('v1.k1.AAAAAAAAAAAAAAAA')).map((text) => JSON.stringify(text)),
  ),
  revision: stringLike('0123456789abcdef'),
})

function documentOf(kind: CredentialKey['kind']): fc.Arbitrary<string> {
  return jsonObject({
    format: oneOf('latchkey-credentials'),
    version: fc.oneof({ weight: 9, arbitrary: oneOf(1) }, { weight: 1, arbitrary: oneOf(0, 2, 1.5, '1') }),
    kind: oneOf(kind),
    server_domain: oneOf('mcp.example.com'),
    account: oneOf(null),
    records: listOf(
      fc.oneof({ weight: 4, arbitrary: RECORDS[kind] }, { weight: 1, arbitrary: sealedRecord }),
      3,
    ),
  })
}

const trustDocument = jsonObject({
  format: oneOf('latchkey-trust'),
  version: oneOf(1),
  files: listOf(
    jsonObject({
      path: stringLike('/a'),
      sha256: stringLike('0'.repeat(64)),
      trusted_at: oneOf(1_700_000_000),
    }),
  ),
})
const foreignDocument = jsonObject({
  access_token: oneOf(SECRETS[0], 'e30.eyJpc3MiOiJodHRwczovL2FzLmV4YW1wbGUuY29tIn0.e30', 'a.b.c', 'a.!.c'),
  token_type: stringLike('Bearer'),
  refresh_token: oneOf(SECRETS[1]),
  expires_at: oneOf(1_800_000_000),
  scope: stringLike('a b'),
  client_id: stringLike('client'),
  redirect_uris: listOf(url),
})
const asBytes = (text: string): string => Buffer.from(text).toString('latin1')
const kinds = ['tokens', 'registrations', 'sign_ins', 'issuers'] as const
const input = (of: StoredFileInput['of'], kind: CredentialKey['kind'], text: fc.Arbitrary<string>) =>
  brokenDocument(text).map((whole) => ({ of, kind, bytes: asBytes(whole) }))

/** What stands in files and rows that others can write, or that another version wrote. */
export const storedFileTarget: FuzzTarget<StoredFileInput> = {
  name: 'stored-file',
  inputs: fc.oneof(
    ...kinds.map((kind) => ({ weight: 400, arbitrary: input('document', kind, documentOf(kind)) })),
    { weight: 200, arbitrary: input('foreign', 'tokens', foreignDocument) },
    ...kinds.map((kind) => ({ weight: 40, arbitrary: input('row', kind, rowContent(kind)) })),
    { weight: 60, arbitrary: input('sealed', 'tokens', sealedRecord) },
    ...kinds.map((kind) => ({ weight: 1, arbitrary: input('disk', kind, documentOf(kind)) })),
    { weight: 1, arbitrary: input('trust', 'tokens', trustDocument) },
  ),
  fromBytes: (bytes) => {
    const choice = bytes[0] ?? 0
    return {
      of: (['document', 'document', 'foreign', 'row', 'sealed'] as const)[choice % 5]!,
      kind: kinds[(choice >> 4) % 3]!,
      bytes: bytes.subarray(1).toString('latin1'),
    }
  },

  async check({ of, kind, bytes }) {
    const raw = Buffer.from(bytes, 'latin1')
    if (of === 'disk') await checkOnDisk(raw, KEYS[kind])
    else if (of === 'trust') await checkTrust(raw)
    else if (of === 'document') checkDocument(raw.toString('utf8'), KEYS[kind])
    else if (of === 'foreign') checkForeign(raw.toString('utf8'))
    else if (of === 'row') await checkRow(raw.toString('utf8'), KEYS[kind])
    else await checkSealed(raw.toString('utf8'))
    assertPrototypesClean()
  },
}

function rowContent(kind: CredentialKey['kind']): fc.Arbitrary<string> {
  return jsonObject({ server_domain: oneOf('mcp.example.com'), account: oneOf(null), record: RECORDS[kind] })
}

function checkDocument(text: string, key: CredentialKey): void {
  const codec = credentialCodec({ ...key, fitsAccount: (account) => account === null })
  const decoded = codec.decode(text)
  if (decoded.state === 'foreign') assertShowable(`${decoded.reason}${decoded.remedy}`)
  if (decoded.state !== 'ours') return
  const { document } = decoded
  assertPlain(document)
  // As text: a number that is too large for JSON becomes `null` with the first write.
  const again = codec.decode(codec.encode(document))
  assert.ok(again.state === 'ours' && codec.encode(again.document) === codec.encode(document))
  for (const { record } of recordsOf(document)) checkRecord(record)
  checkChanges(document, key)
}

/** A stored record becomes what it says or nothing, and keeps to the members that are known. */
function checkRecord(record: JsonObject): void {
  const decoded = [
    decodeTokenSet(record),
    decodeRegistration(record),
    decodePendingSignIn(record),
    decodePinnedIssuer(record),
  ]
  for (const value of decoded) {
    if (value === undefined) continue
    assert.equal(Object.getPrototypeOf(value), Object.prototype)
    assert.ok(!Object.hasOwn(value, '__proto__') && !Object.hasOwn(value, 'constructor'))
    for (const [name, member] of Object.entries(value)) assert.equal(member, readOwn(record, name, member))
  }
  const [tokens] = decoded as [ReturnType<typeof decodeTokenSet>]
  if (!tokens) return
  if (tokens.expires_at !== undefined) new Date(tokens.expires_at * 1000).toISOString()
  new Headers({ authorization: `Bearer ${tokens.access_token}` })
  const why = misfit(tokens, { serverUrl: SERVER, account: null, configuredClientId: null }, {})
  assert.ok(why === undefined || typeof why === 'string')
}

function readOwn(record: JsonObject, name: string, member: unknown): unknown {
  // A registration within a sign-in is read as a stranger too, so it is a copy.
  return name === 'registration' ? member : Object.hasOwn(record, name) ? record[name] : undefined
}

/** One record is replaced or removed; whatever else stands there, known or not, stays as it was. */
function checkChanges(document: CredentialDocument, key: CredentialKey): void {
  const record = { ...key.identity, account: null, access_token: 'new' }
  const changed = withRecord(document, key, { record, revision: 'r' })
  assert.equal(JSON.stringify(findRecord(changed, key)?.record), JSON.stringify(record))
  const removed = withoutRecord(document, key)
  assert.equal(findRecord(removed, key), undefined)
  const { records: _before, ...rest } = document
  for (const { records: _records, ...other } of [changed, removed]) {
    assert.equal(JSON.stringify(other), JSON.stringify(rest))
  }
  const isAnother = (entry: unknown): boolean =>
    !isJsonObject(entry as JsonObject) ||
    (Object.hasOwn(entry as JsonObject, 'account') && (entry as JsonObject).account !== key.account) ||
    !IDENTITY_MEMBERS[key.kind].every(
      (member) =>
        Object.hasOwn(entry as JsonObject, member) && (entry as JsonObject)[member] === key.identity[member],
    )
  assert.equal(JSON.stringify(removed.records), JSON.stringify(document.records.filter(isAnother)))
  for (const whole of [changed, removed]) encodeDocument(whole)
}

const STORE_CODES = ['store_failed', 'store_conflict'] as const

/** The real store reads the file, lists it, writes into it and reads that again. */
async function checkOnDisk(bytes: Buffer, key: CredentialKey): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'latchkey-fuzz-'))
  try {
    const store = createFileStore({ home, emit: ({ type }) => assert.equal(type, 'warning') })
    const record = { ...key.identity, account: null, access_token: 'new' }
    // Where the file belongs is the store's to say.
    await store.write(key, record, { ifRevision: null })
    const file = await onlyDocument(home)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, bytes, { mode: 0o600 })
    const read = await outcomeOf(() => store.read(key), STORE_CODES)
    if ('error' in read) assertKeepsSecret(read.error.message, SECRETS)
    await outcomeOf(() => store.list({ kind: key.kind }), STORE_CODES)
    const revision = 'value' in read ? (read.value?.revision ?? null) : null
    const written = await outcomeOf(() => store.write(key, record, { ifRevision: revision }), STORE_CODES)
    if ('value' in written) assert.deepEqual((await store.read(key))?.record, record)
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function onlyDocument(home: string): Promise<string> {
  const { readdir } = await import('node:fs/promises')
  const names = await readdir(home, { recursive: true })
  return join(home, names.find((name) => name.endsWith('.json'))!)
}

async function checkTrust(bytes: Buffer): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'latchkey-fuzz-'))
  try {
    await writeFile(join(home, 'trust.json'), bytes, { mode: 0o600 })
    const store = createTrustStore({ home, emit: ({ type }) => assert.equal(type, 'warning') })
    const listed = await outcomeOf(() => store.list(), STORE_CODES)
    if ('value' in listed) {
      for (const { path, sha256 } of listed.value) assert.equal(typeof path + typeof sha256, 'stringstring')
    }
    await outcomeOf(() => store.isTrusted(join(home, 'trust.json'), 'x'), STORE_CODES)
    await outcomeOf(() => store.forget('/a'), STORE_CODES)
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }
}

function checkForeign(text: string): void {
  for (const expiresAt of ['seconds', 'milliseconds'] as const) {
    const login = readForeignLogin(text, expiresAt === 'seconds' ? undefined : text, { expiresAt })
    if (!login) continue
    assertPlain(login)
    assert.ok(login.access_token !== '' && login.issuers.every((issuer) => typeof issuer === 'string'))
    assert.ok(login.expires_at === undefined || Number.isFinite(login.expires_at))
  }
}

const cipher = createRecordCipher({ current: 'k1', keys: { k1: new Uint8Array(32).fill(7) } })

/** What was sealed with our key, by whatever program had it. */
async function checkRow(content: string, key: CredentialKey): Promise<void> {
  const id = await rowId(key)
  const row = { id, revision: 'r', ...(await cipher.seal(id, content)) }
  const opened = await outcomeOf(() => openRow(cipher, key.kind, row, 'row 1'), ['store_failed'])
  if ('error' in opened) assertKeepsSecret(opened.error.message, SECRETS)
  else {
    assertPlain(opened.value.record)
    assert.equal(opened.value.revision, 'r')
  }
}

/** A record of a file that says it is sealed. */
async function checkSealed(text: string): Promise<void> {
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    return
  }
  if (!isJsonObject(record as JsonObject) || sealedWith(record as JsonObject) === undefined) return
  const seal = createKeychainSeal({ cipher: async () => cipher, mode: 'keychain', emit: () => {} })
  await outcomeOf(() => seal.open(KEYS.tokens, record as JsonObject), ['store_failed'])
}
