import { createHash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isJsonObject } from '../credential-key.ts'
import { ConfigUntrustedError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { shellWord } from '../errors/shell-word.ts'
import type { EventListener } from '../events.ts'
import type { Clock, JsonObject, JsonValue } from '../ports.ts'
import { systemClock } from './clock.ts'
import { createGenerationLocks } from './generation-lock.ts'
import { isOwnOrRoots } from './path-steps.ts'
import {
  currentVersion,
  type DocumentCodec,
  decodeEnvelope,
  type Envelope,
  encodeDocument,
} from './store-document.ts'
import { openDocument } from './store-document-file.ts'
import { createStoreFolder } from './store-folder.ts'

/** A config file that the person vouched for, as it was then. */
export interface TrustedFile {
  /** Without symbolic links. */
  readonly path: string
  /** SHA-256 of the text, in hexadecimal. */
  readonly sha256: string
  /** Seconds since 1970. */
  readonly trusted_at: number
}

/**
 * Remembers which config files the person vouched for (`latchkey trust FILE`), in `<home>/trust.json`: by path and
 * content, so that a file that changes has to be looked at again. Throws `store_failed`.
 */
export interface TrustStore {
  /** True when exactly this text was trusted under this path, and nobody else may write the file. */
  isTrusted(path: string, text: string): Promise<boolean>
  /** Throws `config_untrusted` for a file that other users own or may write. */
  trust(path: string, text: string): Promise<TrustedFile>
  /** False when it was not trusted. The file need not exist any more. */
  forget(path: string): Promise<boolean>
  list(): Promise<readonly TrustedFile[]>
}

export interface TrustStoreOptions {
  /** The folder of `storeHome()`. */
  home: string
  emit: EventListener
  clock?: Clock
  /** As for the file store: milliseconds, default 3500. */
  staleAfter?: number
}

interface TrustDocument extends JsonObject {
  format: typeof TRUST.format
  version: number
  files: JsonValue[]
}

const TRUST = { format: 'latchkey-trust', migrations: [] } as const satisfies Envelope

export function createTrustStore(options: TrustStoreOptions): TrustStore {
  const { emit, clock = systemClock, staleAfter } = options
  const folder = createStoreFolder({ home: options.home, emit })
  const locks = createGenerationLocks({ clock, ...(staleAfter !== undefined && { staleAfter }) })
  const file = openDocument(join(folder.home, 'trust.json'), trustCodec, { folder, locks, emit })

  const list = async (): Promise<readonly TrustedFile[]> =>
    ((await file.read())?.files ?? []).filter(isTrustedFile)

  return {
    list,

    async isTrusted(path, text) {
      const real = await realPath(path)
      const known = (await list()).find((other) => other.path === real)
      return known?.sha256 === digest(text) && (await whyUntrustworthy(real)) === undefined
    },

    async trust(path, text) {
      const real = await realPath(path)
      const because = await whyUntrustworthy(real)
      if (because !== undefined) {
        throw new ConfigUntrustedError({
          path: real,
          message: `${cleanServerText(real, 1000)} ${because}, so its content can change after you looked at it.`,
          remedy: `Make it yours alone: chown "$USER" ${shellWord(real)} && chmod o-w ${shellWord(real)}`,
        })
      }
      const entry: TrustedFile = {
        path: real,
        sha256: digest(text),
        trusted_at: Math.floor(clock.now() / 1000),
      }
      await file.update((document = { format: TRUST.format, version: currentVersion(TRUST), files: [] }) => ({
        ...document,
        files: [...document.files.filter((other) => !isOfPath(other, real)), { ...entry }],
      }))
      return entry
    },

    async forget(path) {
      const real = await realPath(path)
      let isKnown = false
      if (!(await list()).some((other) => other.path === real)) return false
      await file.update((document) => {
        isKnown = document?.files.some((other) => isOfPath(other, real)) ?? false
        if (!document || !isKnown) return undefined
        return { ...document, files: document.files.filter((other) => !isOfPath(other, real)) }
      })
      return isKnown
    },
  }
}

/**
 * Why other users could change this file; `undefined` when they cannot. Root is no other user, and neither is a group that
 * works on a project together: a change of its content ends the trust. Windows has no modes to judge by.
 */
export async function whyUntrustworthy(
  path: string,
  uid: number | undefined = process.geteuid?.(),
): Promise<string | undefined> {
  if (uid === undefined) return undefined
  const stats = await stat(path)
  if (!isOwnOrRoots(stats.uid, uid)) return `belongs to user ${stats.uid}`
  return stats.mode & 0o002 ? 'can be written by every user' : undefined
}

const trustCodec: DocumentCodec<TrustDocument> = {
  encode: encodeDocument,
  decode(text) {
    const decoded = decodeEnvelope(text, TRUST)
    if (decoded.state !== 'ours') return decoded
    if (!Array.isArray(decoded.document.files)) return { state: 'damaged' }
    return { state: 'ours', document: decoded.document as TrustDocument }
  },
}

/** Of a file that is gone: the path as it was given. */
async function realPath(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path))
}

function isTrustedFile(value: JsonValue): value is JsonObject & TrustedFile {
  return (
    isJsonObject(value) &&
    typeof value.path === 'string' &&
    typeof value.sha256 === 'string' &&
    typeof value.trusted_at === 'number'
  )
}

function isOfPath(value: JsonValue, path: string): boolean {
  return isJsonObject(value) && value.path === path
}

function digest(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}
