import { randomBytes } from 'node:crypto'
import { rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { StoreFolder } from './store-folder.ts'
import { asStoreFailure, systemCode } from './store-folder-error.ts'

/** Bytes on the disk that a later write does not have to ask for. Errors are `store_failed`. */
export interface Room {
  /** Makes the room the file `name` with this content. False when the room is gone: it is used once. */
  become(name: string, content: string): Promise<boolean>
  /** Gives back what was not used. Never rejects. */
  release(): Promise<void>
}

const SUFFIX = '.room'

/**
 * Takes `bytes` of the disk as a file `path.<random>.room`. One at a time for a path: what a crash left there is removed. A
 * name of its own, so that who lost the lock gives back nothing of its successor's.
 *
 * @throws `store_failed` when there is no room
 */
export async function takeRoom(folder: StoreFolder, wanted: string, bytes: number): Promise<Room> {
  for (const { name } of await folder.entries(dirname(wanted))) {
    if (name.startsWith(`${basename(wanted)}.`) && name.endsWith(SUFFIX))
      await removeFile(join(dirname(wanted), name))
  }
  const path = `${wanted}.${randomBytes(8).toString('hex')}${SUFFIX}`
  // Random, since some file systems store zeros as nothing.
  await folder.create(path, randomBytes(bytes))
  return {
    become: async (name, content) =>
      (await asStoreFailure(path, 'used', () => renamed(path, name))) && folder.fill(name, content),
    release: () => unlink(path).catch(() => {}),
  }
}

async function removeFile(path: string): Promise<void> {
  await asStoreFailure(path, 'removed', async () => {
    await unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error
    })
  })
}

async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}
