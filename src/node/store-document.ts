import { isJsonObject, isTooDeep, plainRecord, repeatsIdentity } from '../credential-key.ts'
import type { CredentialKey, JsonObject, JsonValue } from '../ports.ts'

/** What stands in one file: everything known of one domain, account and kind. `docs/storage-format.md` describes it. */
export interface CredentialDocument extends JsonObject {
  format: typeof FORMAT
  version: number
  kind: CredentialKey['kind']
  server_domain: string
  account: string | null
  records: JsonValue[]
}

/** What a document must say of itself to be the one that its path promises. */
export interface DocumentPlace {
  readonly kind: CredentialKey['kind']
  readonly serverDomain: string
  /** In a listing the account is not known: only whether it fits the file's name. */
  readonly fitsAccount: (account: string | null) => boolean
}

/** What a file turned out to be. */
export type Decoded<T> =
  | { readonly state: 'ours'; readonly document: T }
  /** Valid JSON that is not ours, or not of this place: neither used nor touched. */
  | { readonly state: 'foreign'; readonly reason: string; readonly remedy?: string }
  /** Written by a later latchkey. */
  | { readonly state: 'newer'; readonly version: number }
  | { readonly state: 'damaged' }

/** How one kind of document is written down. */
export interface DocumentCodec<T> {
  decode(text: string): Decoded<T>
  encode(document: T): string
}

/** Makes a document of the next version; leaves alone what it does not know. */
export type Migration = (document: JsonObject) => JsonObject

/** A format, and how its older documents become current ones. The first migration makes version 2 of version 1. */
export interface Envelope {
  readonly format: string
  readonly migrations: readonly Migration[]
}

const FORMAT = 'latchkey-credentials'

/** None yet: the current version is the first one. */
const MIGRATIONS: readonly Migration[] = []

const OF_MCP_USE =
  'If mcp-use wrote it, take its login over: latchkey import mcp-use\nElse move the file away, or set LATCHKEY_HOME to another folder.'

/** The version that is written: each migration leads to one more. */
export function currentVersion({ migrations }: Pick<Envelope, 'migrations'>): number {
  return migrations.length + 1
}

/**
 * Reads the envelope that all our documents share: valid JSON, `format` and `version`. An older document is brought to
 * the current version here, in memory: the file changes with the next write.
 */
export function decodeEnvelope(text: string, envelope: Envelope): Decoded<JsonObject> {
  let value: JsonValue
  try {
    value = parseJson(text)
  } catch {
    return { state: 'damaged' }
  }
  if (!isJsonObject(value) || !Object.hasOwn(value, 'format') || value.format !== envelope.format) {
    return { state: 'foreign', reason: 'belongs to another program' }
  }
  const { version } = value
  const current = currentVersion(envelope)
  if (typeof version === 'number' && version > current) return { state: 'newer', version }
  const isVersion = typeof version === 'number' && Number.isInteger(version) && version >= 1
  if (!isVersion || isTooDeep(value)) return { state: 'damaged' }
  return migrated(value, envelope.migrations.slice(version - 1), current)
}

/** What no JSON can say (`1e400`) is `null` from the start, as it would be after the next write. */
function parseJson(text: string): JsonValue {
  if (!/\d[eE]\+?\d{3}|\d{300}/.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_name, value) =>
    typeof value === 'number' && !Number.isFinite(value) ? null : value,
  )
}

/** A document that its migration cannot read is not what its version says. */
function migrated(
  document: JsonObject,
  migrations: readonly Migration[],
  version: number,
): Decoded<JsonObject> {
  try {
    const latest = migrations.reduce((older, migrate) => migrate(older), document)
    return { state: 'ours', document: { ...latest, version } }
  } catch {
    return { state: 'damaged' }
  }
}

/** Pretty JSON that ends in a newline. */
export function encodeDocument(document: JsonObject): string {
  return `${JSON.stringify(document, null, 2)}\n`
}

export function credentialCodec(
  place: DocumentPlace,
  migrations: readonly Migration[] = MIGRATIONS,
): DocumentCodec<CredentialDocument> {
  const envelope = { format: FORMAT, migrations }
  return {
    // Whatever a document was read or made as, it is written in the current version.
    encode: (document) => encodeDocument({ ...document, version: currentVersion(envelope) }),
    decode(text) {
      const decoded = decodeEnvelope(text, envelope)
      if (decoded.state === 'foreign') return { ...decoded, remedy: OF_MCP_USE }
      if (decoded.state !== 'ours') return decoded
      const { kind, server_domain, account = null, records } = decoded.document
      if (typeof account !== 'string' && account !== null) return { state: 'damaged' }
      if (!Array.isArray(records)) return { state: 'damaged' }
      if (kind !== place.kind || server_domain !== place.serverDomain || !place.fitsAccount(account)) {
        return { state: 'foreign', reason: 'holds credentials of another server or account' }
      }
      return { state: 'ours', document: { ...decoded.document, account } as CredentialDocument }
    },
  }
}

export function emptyDocument(key: CredentialKey): CredentialDocument {
  return {
    format: FORMAT,
    version: currentVersion({ migrations: MIGRATIONS }),
    kind: key.kind,
    server_domain: key.serverDomain,
    account: key.account,
    records: [],
  }
}

/** A record as it stands in the document, and its revision (`''` when somebody wrote it by hand). */
export interface FoundRecord {
  readonly record: JsonObject
  readonly revision: string
}

export function findRecord(document: CredentialDocument, key: CredentialKey): FoundRecord | undefined {
  const entry = document.records.filter(isJsonObject).find((other) => repeatsIdentity(key, other))
  return entry && foundRecord(entry)
}

/** Every record that is one; other things in the list are left alone. */
export function recordsOf(document: CredentialDocument): FoundRecord[] {
  return document.records.filter(isJsonObject).map(foundRecord)
}

function foundRecord(entry: JsonObject): FoundRecord {
  return { record: plainRecord(entry), revision: typeof entry.revision === 'string' ? entry.revision : '' }
}

/** The document with this record in place of the one with its identity, or at the end. All else is kept. */
export function withRecord(
  document: CredentialDocument,
  key: CredentialKey,
  { record, revision }: FoundRecord,
): CredentialDocument {
  const entry: JsonObject = { ...record, revision }
  const index = document.records.findIndex((other) => isJsonObject(other) && repeatsIdentity(key, other))
  const records = index === -1 ? [...document.records, entry] : document.records.with(index, entry)
  return { ...document, records }
}

/** The document without any record of this identity. */
export function withoutRecord(document: CredentialDocument, key: CredentialKey): CredentialDocument {
  const records = document.records.filter((entry) => !isJsonObject(entry) || !repeatsIdentity(key, entry))
  return { ...document, records }
}
