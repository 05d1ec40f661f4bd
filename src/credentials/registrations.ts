import { StoreConflictError, StoreFailedError } from '../errors/index.ts'
import type { ClientRegistration, TokenSet } from '../flow/token-set.ts'
import type { CredentialStore } from '../ports.ts'
import { type Identity, registrationKey, serverDomain } from './identity.ts'
import { decodeRegistration, encodeRecord } from './record.ts'

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

/** What names a registered client. */
type RegisteredAs = Pick<TokenSet, 'issuer' | 'redirect_uri' | 'client_id'>

/** Deletes the registration of a client that its server no longer knows, so that the next sign-in registers anew. */
export async function forgetRegistration(
  store: CredentialStore,
  identity: Identity,
  { issuer, redirect_uri, client_id }: RegisteredAs,
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

/**
 * Marks a registration whose server may have forgotten it. It stays until a login with another client succeeded, and a
 * login with itself that does removes the mark.
 */
export async function doubtRegistration(
  store: CredentialStore,
  identity: Identity,
  { issuer, redirect_uri, client_id }: RegisteredAs & { readonly redirect_uri: string },
  now: number,
): Promise<void> {
  const key = registrationKey(identity, issuer, redirect_uri)
  const stored = await store.read(key)
  const registration = stored && decodeRegistration(stored.record)
  if (registration?.client_id !== client_id) return
  const doubted = { ...registration, doubted_at: Math.floor(now) }
  try {
    await store.write(key, encodeRecord(key, doubted), { ifRevision: stored!.revision })
  } catch (error) {
    // Another process has registered anew, or signed in with it.
    if (!(error instanceof StoreConflictError)) throw error
  }
}

/**
 * Deletes what a new registration takes the place of, now that there is a login with it: the client of the login before,
 * and those of this issuer that would not be used again.
 */
export async function forgetReplaced(
  store: CredentialStore,
  identity: Identity,
  {
    registration,
    previous,
    now,
  }: { registration: ClientRegistration; previous: TokenSet | undefined; now: number },
): Promise<void> {
  try {
    const spent = (await storedRegistrations(store, identity)).filter(
      ({ issuer, client_id, doubted_at, client_secret_expires_at }) =>
        issuer === registration.issuer &&
        client_id !== registration.client_id &&
        (doubted_at !== undefined || (client_secret_expires_at ?? Number.POSITIVE_INFINITY) <= now),
    )
    for (const replaced of [...spent, ...(previous ? [previous] : [])]) {
      if (replaced.client_id !== registration.client_id) await forgetRegistration(store, identity, replaced)
    }
  } catch (error) {
    // A leftover harms nobody; the login is stored.
    if (!(error instanceof StoreFailedError)) throw error
  }
}
