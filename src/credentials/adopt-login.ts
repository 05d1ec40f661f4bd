import type { OAuthSettings } from '../definitions.ts'
import {
  type Adoption,
  type AdoptionQuestion,
  planAdoption,
  proveAdoption,
  type StrangeLogin,
} from '../flow/adopt.ts'
import type { FlowContext } from '../flow/context.ts'
import { assertPinned } from '../flow/discover-pinned.ts'
import type { TokenSet } from '../flow/token-set.ts'
import type { CredentialStore } from '../ports.ts'
import { type Identity, registrationKey } from './identity.ts'
import type { Keeper } from './keeper.ts'
import { encodeRecord } from './record.ts'

export interface AdoptWish {
  readonly strange: StrangeLogin
  /** Asked before the refresh token is sent to an authorization server that only the MCP server names. */
  readonly confirm: (question: AdoptionQuestion) => Promise<boolean>
  /** Called once nothing but the renewal is left to do: a place that is in the way is made free. */
  readonly beforeRenewal?: () => Promise<void>
  /** Take it although there is a login. */
  readonly force?: boolean
}

/** `taken`; `kept` when there is a login already, which stays; `resumed` when that one came from this very login. */
export type AdoptOutcome = 'taken' | 'kept' | 'resumed'

export interface AdoptParts {
  readonly server: {
    readonly url: string
    readonly headers: Readonly<Record<string, string>>
    readonly settings: OAuthSettings
  }
  readonly identity: Identity
  readonly keeper: Keeper
  readonly store: CredentialStore
  readonly context: FlowContext
}

/** Takes the login of another program over: looks, asks, renews it and stores what came, in this order. */
export async function adoptLogin(
  { strange, confirm, beforeRenewal, force = false }: AdoptWish,
  { server, identity, keeper, store, context }: AdoptParts,
): Promise<AdoptOutcome> {
  const stored = await keeper.read()
  if (stored && isSame(stored, strange)) return 'resumed'
  if (stored && !force) return 'kept'
  const { url: serverUrl, headers, settings } = server
  const pinned = await keeper.pinnedIssuer()
  const adoption = await planAdoption({ serverUrl, headers, settings, strange, pinned }, confirm, context)
  await beforeRenewal?.()
  // A login that was renewed and could not be written would be lost.
  await keeper.prepare()
  let outcome = 'kept' as AdoptOutcome
  await keeper.obtain(
    () => !force,
    async (previous) => {
      if (previous && !force) return previous
      // Another process may have pinned another issuer while the person was asked.
      const now = { pinned: await keeper.pinnedIssuer() }
      if (settings.client_id !== undefined) assertPinned(adoption.tokens.issuer, settings, now, context)
      outcome = 'taken'
      return proveAdoption(adoption, settings.client_secret, context)
    },
  )
  if (outcome === 'taken') await saveRegistration(adoption, identity, store)
  return outcome
}

/** The tokens come first: they hold the client themselves, and are what a crash could lose. */
async function saveRegistration(
  { registration }: Adoption,
  identity: Identity,
  store: CredentialStore,
): Promise<void> {
  if (!registration) return
  const key = registrationKey(identity, registration.issuer, registration.redirect_uri)
  if (await store.read(key)) return
  await store.write(key, encodeRecord(key, registration))
}

/** A dynamic client belongs to one login, so its id tells where a login came from after all tokens were exchanged. */
function isSame(
  { client_kind, client_id, access_token, refresh_token }: TokenSet,
  strange: StrangeLogin,
): boolean {
  if (client_kind === 'dynamic' && client_id === strange.client?.client_id) return true
  return (
    access_token === strange.access_token ||
    (refresh_token !== undefined && refresh_token === strange.refresh_token)
  )
}
