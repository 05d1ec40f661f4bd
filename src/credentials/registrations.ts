import { StoreConflictError } from '../errors/index.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { CredentialStore } from '../ports.ts'
import { type Identity, registrationKey, serverDomain } from './identity.ts'
import { decodeRegistration } from './record.ts'

/** The dynamic registrations of this server and account, newest first. */
export async function storedRegistrations(
  store: CredentialStore,
  { serverUrl, account }: Identity,
): Promise<ClientRegistration[]> {
  const filter = { kind: 'registrations', serverDomain: serverDomain(serverUrl), account } as const
  const records = await store.list(filter)
  return records
    .map(({ record }) => decodeRegistration(record))
    .filter((registration) => registration !== undefined)
    .sort((a, b) => b.created_at - a.created_at)
}

/** Deletes the registration of a client that its server no longer knows, so that the next sign-in registers anew. */
export async function forgetRegistration(
  store: CredentialStore,
  identity: Identity,
  { issuer, redirect_uri, client_id }: TokenSet,
): Promise<void> {
  if (redirect_uri === undefined) return
  const key = registrationKey(identity, issuer, redirect_uri)
  const stored = await store.read(key)
  // Another process may have registered anew already.
  if (stored?.record.client_id !== client_id) return
  try {
    await store.delete(key, { ifRevision: stored.revision })
  } catch (error) {
    if (!(error instanceof StoreConflictError)) throw error
  }
}
