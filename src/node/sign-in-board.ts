import { createHash, randomBytes } from 'node:crypto'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { EventListener } from '../events.ts'
import type { Clock, Lease, SignInBoard, SignInEnd } from '../ports.ts'
import { systemClock } from './clock.ts'
import { type AcquireOptions, createGenerationLocks } from './generation-lock.ts'
import { createStoreFolder } from './store-folder.ts'
import { asStoreFailure } from './store-folder-error.ts'
import { tokensFolder } from './store-folder-layout.ts'

export interface SignInBoardOptions {
  /** The folder of {@link storeHome}; the board is in `tokens/.sign-in` below it. */
  home: string
  emit: EventListener
  /** Default: the clock of this process. */
  clock?: Clock
}

/** People hold these locks: whoever waits need not look twenty times a second. */
const LONGEST_PAUSE = 250

const FORMAT = 'latchkey-sign-in'

/**
 * The board in files that only their owner can read: generation locks, and for each identity how its last sign-in ended.
 * Identities appear as digests. `docs/storage-format.md` describes the files.
 */
export function createSignInBoard({ home, emit, clock = systemClock }: SignInBoardOptions): SignInBoard {
  const folder = createStoreFolder({ home, emit })
  const locks = createGenerationLocks({ clock, longestPause: LONGEST_PAUSE })
  const board = join(tokensFolder(folder.home), '.sign-in')
  const person = join(board, 'person')
  const turnOf = (place: string): string => join(place, 'turn')
  const placeOf = (identity: string): string =>
    join(board, createHash('sha256').update(identity, 'utf8').digest('hex').slice(0, 32))

  /** A folder for each lock: it has to stay small enough to be listed at one go. */
  const acquire = async (place: string, options: AcquireOptions): Promise<Lease> => {
    await folder.ensure(place)
    return asStoreFailure(place, 'locked', () => locks.acquire(turnOf(place), options))
  }

  return {
    // Who is killed while a person is asked leaves both behind.
    claim: (identity, wait) => acquire(placeOf(identity), { ...wait, next: turnOf(person) }),
    claimPerson: (wait) => acquire(person, { ...wait }),

    async lastEnd(identity) {
      const place = placeOf(identity)
      if (!(await folder.exists(place))) return undefined
      const bytes = await folder.read(join(place, 'last.json'))
      return bytes && decodeEnd(new TextDecoder().decode(bytes))
    },

    async postEnd(identity, end) {
      const place = placeOf(identity)
      const id = randomBytes(8).toString('hex')
      const temporary = join(place, `${id}.tmp`)
      const text = JSON.stringify({ format: FORMAT, version: 1, id, ...end })
      await folder.create(temporary, `${text}\n`)
      await asStoreFailure(place, 'written', async () => {
        try {
          await rename(temporary, join(place, 'last.json'))
        } catch (error) {
          await unlink(temporary).catch(() => {})
          throw error
        }
      })
    },
  }
}

/** Whatever is not what we write says nothing: the board is a courtesy between processes, not a record. */
function decodeEnd(text: string): SignInEnd | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { format, version, id, at, failure } = (value ?? {}) as Record<string, unknown>
  if (format !== FORMAT || version !== 1 || typeof id !== 'string' || typeof at !== 'number') return undefined
  if (failure === undefined) return { id, at }
  return typeof failure === 'string' && /^[a-z_]{1,40}$/.test(failure) ? { id, at, failure } : undefined
}
