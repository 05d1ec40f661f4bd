import { createFileStore } from '../src/node/file-store.ts'
import type { CredentialStore } from '../src/ports.ts'

/** A store by its name and place, so that many processes can be told to use the same one. */
export interface StoreAddress {
  kind: 'file'
  /** The home of a file store. */
  at: string
}

export async function openCampaignStore({ kind, at }: StoreAddress): Promise<CredentialStore> {
  switch (kind) {
    case 'file':
      return createFileStore({ home: at, emit: () => {} })
  }
}
