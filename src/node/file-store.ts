import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { assertKey, assertRecord, keyOfRecord, plainRecord } from '../credential-key.ts'
import { StoreConflictError, StoreFailedError } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { Clock, CredentialKey, CredentialStore, JsonObject, StoredRecord } from '../ports.ts'
import { type RecordSeal, sealedWith } from '../record-seal.ts'
import { systemClock } from './clock.ts'
import { listDocuments } from './file-store-listing.ts'
import { createGenerationLocks } from './generation-lock.ts'
import {
  type CredentialDocument,
  credentialCodec,
  emptyDocument,
  type FoundRecord,
  findRecord,
  recordsOf,
  withoutRecord,
  withRecord,
} from './store-document.ts'
import { type DocumentFile, documentLock, openDocument } from './store-document-file.ts'
import { createStoreFolder } from './store-folder.ts'
import { asStoreFailure } from './store-folder-error.ts'
import { type DocumentLocation, documentLocation, recordLock, tokensFolder } from './store-folder-layout.ts'
import type { Room } from './store-room.ts'

/** How much longer a record may have become when it is written into room that was taken: new tokens, new claims. */
const GROWTH = 65_536

export interface FileStoreOptions {
  /** The folder of {@link storeHome}; credentials are in `tokens` below it. */
  home: string
  /** Hears `store_permissions_narrowed`, `store_file_set_aside` and `record_does_not_fit`. */
  emit: EventListener
  /** Default: the clock of this process. */
  clock?: Clock
  /** How long a holder of a lock must stand still before it is taken over from, in milliseconds. Default 3500. */
  staleAfter?: number
  /** Seals records on their way to the disk. Without it they are in clear, and sealed ones are left alone. */
  seal?: RecordSeal
}

/**
 * Keeps credentials in JSON files below `<home>/tokens`, readable for their owner only. `docs/storage-format.md`
 * describes files, locks and modes. Throws `store_failed` and `store_conflict`.
 */
export function createFileStore(options: FileStoreOptions): CredentialStore {
  const { emit, clock = systemClock, staleAfter, seal } = options
  const folder = createStoreFolder({ home: options.home, emit })
  const locks = createGenerationLocks({ clock, ...(staleAfter !== undefined && { staleAfter }) })
  const { home } = folder

  const open = (location: DocumentLocation): DocumentFile<CredentialDocument> =>
    openDocument(location.path, credentialCodec(location), { folder, locks, emit })

  /** Keeps the store out of a repository that somebody makes of the home directory. Once per process is enough. */
  let isIgnored = false
  const prepare = async (): Promise<void> => {
    if (isIgnored) return
    await folder.ensure(tokensFolder(home))
    await folder.create(join(tokensFolder(home), '.gitignore'), '*\n')
    isIgnored = true
  }

  const write = async (
    key: CredentialKey,
    record: JsonObject,
    { ifRevision }: { ifRevision?: string | null } = {},
    room?: Room,
  ): Promise<StoredRecord> => {
    assertRecord(key, record)
    const written = { record: plainRecord(record), revision: randomBytes(8).toString('hex') }
    const location = documentLocation(home, key)
    const assertReadable = await guard()
    const resting = seal ? { ...written, record: await seal.seal(key, written.record) } : written
    await prepare()
    await open(location).update((document = emptyDocument(key)) => {
      const found = findRecord(document, key)
      assertReadable(found, location.path)
      assertRevision(found, ifRevision, location.path)
      return withRecord(document, key, resting)
    }, room)
    return { key, ...written }
  }

  const skip = (path: string, reason: unknown): void => {
    const because = reason instanceof Error ? reason.message : String(reason)
    emit({
      type: 'warning',
      code: 'record_does_not_fit',
      message: `${path} was left out: ${because}`,
    })
  }

  /** Plain records are taken as they are, also by a store that seals: they are sealed when they are written next. */
  const opened = async (stored: StoredRecord): Promise<StoredRecord> => {
    const keyId = sealedWith(stored.record)
    if (keyId === undefined) return stored
    if (!seal) throw keyElsewhere(documentLocation(home, stored.key).path, keyId)
    return { ...stored, record: plainRecord(await seal.open(stored.key, stored.record)) }
  }

  /** What can be opened of a document; the rest is told of. */
  const readable = async (
    location: DocumentLocation,
    document: CredentialDocument,
  ): Promise<StoredRecord[]> => {
    const stored: StoredRecord[] = []
    for (const one of storedRecords(location, document)) {
      try {
        stored.push(await opened(one))
      } catch (error) {
        skip(location.path, error)
      }
    }
    return stored
  }

  /** Throws for a record that nobody here could read: it is not written over, and not deleted. */
  const guard = async (): Promise<(found: FoundRecord | undefined, path: string) => void> => {
    const known = (await seal?.keyIds()) ?? []
    return (found, path) => {
      const keyId = found && sealedWith(found.record)
      if (keyId !== undefined && !known.includes(keyId)) throw keyElsewhere(path, keyId)
    }
  }

  return {
    kind: seal?.kind ?? 'file',

    async read(key) {
      assertKey(key)
      const document = await open(documentLocation(home, key)).read()
      const found = document && findRecord(document, key)
      return found && opened({ key, ...found })
    },

    write,

    async reserve(key) {
      await seal?.ready()
      await prepare()
      const name = basename(recordLock(home, key))
      const room = await open(documentLocation(home, key)).takeRoom(name, GROWTH)
      return {
        write: (record, options) => write(key, record, options, room),
        release: () => room.release(),
      }
    },

    async delete(key, { ifRevision } = {}) {
      assertKey(key)
      const location = documentLocation(home, key)
      // What is absent needs no lock; and a store that does not exist is not created in order to forget.
      const present = await open(location).read()
      if (!present || !findRecord(present, key)) return
      const assertReadable = await guard()
      await open(location).update((document) => {
        const found = document && findRecord(document, key)
        if (!found) return undefined
        assertReadable(found, location.path)
        assertRevision(found, ifRevision, location.path)
        return withoutRecord(document, key)
      })
    },

    async list(filter) {
      const stored: StoredRecord[] = []
      for await (const location of listDocuments(folder, filter, skip)) {
        try {
          const decoded = await open(location).peek()
          if (decoded?.state === 'ours') stored.push(...(await readable(location, decoded.document)))
          if (decoded?.state === 'damaged') skip(location.path, 'it cannot be read.')
          if (decoded?.state === 'newer')
            skip(location.path, 'it was written by a later version of latchkey.')
        } catch (error) {
          skip(location.path, error)
        }
      }
      return stored
    },

    async lock(key, { signal } = {}) {
      const path = recordLock(home, key)
      await prepare()
      await folder.ensure(dirname(path))
      // Whoever died while it wrote held both locks: without this they would be waited for one after the other.
      const next = documentLock(documentLocation(home, key).path)
      return asStoreFailure(path, 'locked', () => locks.acquire(path, { next, ...(signal && { signal }) }))
    },

    async prepare(place) {
      await seal?.ready()
      const assertReadable = await guard()
      await prepare()
      const location = documentLocation(home, place)
      const document = open(location)
      // Takes the lock and looks at what is there, as a write does, and changes nothing; then tries for the room.
      await document.update((current) => {
        for (const found of current ? recordsOf(current) : []) assertReadable(found, location.path)
        return undefined
      })
      const room = await document.takeRoom('trial', GROWTH)
      await room.release()
    },

    locate: (key) => documentLocation(home, key).path,
  }
}

function storedRecords(location: DocumentLocation, document: CredentialDocument): StoredRecord[] {
  const { kind, serverDomain } = location
  return recordsOf(document).flatMap(({ record, revision }) => {
    const key = keyOfRecord({ kind, serverDomain, account: document.account }, record)
    return key ? [{ key, record, revision }] : []
  })
}

function keyElsewhere(path: string, keyId: string): StoreFailedError {
  return new StoreFailedError({
    location: path,
    message: `${path} holds a login that is sealed with the key ${JSON.stringify(keyId)}, which is not here. It was left as it is.`,
    remedy:
      "The key is in your system's keychain: use the store `keychain` (`--store keychain`, LATCHKEY_STORE). If the key is lost, move the file away and sign in again.",
  })
}

function assertRevision(
  found: FoundRecord | undefined,
  expected: string | null | undefined,
  location: string,
): void {
  if (expected === undefined || (found?.revision ?? null) === expected) return
  throw new StoreConflictError({ location, message: `The record in ${location} changed in the meantime.` })
}
