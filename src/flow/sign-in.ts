import type { OAuthSettings } from '../definitions.ts'
import {
  AuthorizationRefusedError,
  type ChallengeSummary,
  TokenRequestRefusedError,
} from '../errors/index.ts'
import { unionScope, withoutOfflineAccess } from '../oauth/scope.ts'
import type { TokenAnswer } from '../oauth/token-request.ts'
import type { RedirectListener, RedirectReceiver } from '../ports.ts'
import { type AuthorizationCodeParts, authorizationCode } from './authorization-code.ts'
import { foreignAuthorizationHost, wasConfirmed } from './authorization-host.ts'
import type { Proven } from './client-proof.ts'
import type { FlowContext } from './context.ts'
import {
  asksOffline,
  type PreparedAuthorization,
  prepareAuthorization,
  promptFor,
} from './prepare-authorization.ts'
import { redirectAddress } from './redirect-address.ts'
import { type ClientRegistration, newTokenSet, type TokenSet } from './token-set.ts'

export interface SignInRequest {
  readonly serverUrl: string
  /** Sent with the probe, as with every MCP request. */
  readonly headers: Readonly<Record<string, string>>
  readonly settings: OAuthSettings
  /** What the 401 said; without one the server is asked first. */
  readonly challenge: ChallengeSummary | undefined
  /** The login there was, for its issuer and the scope asked for before. */
  readonly previous: TokenSet | undefined
  readonly registrations: readonly ClientRegistration[]
  /** Ask the person again even where the authorization server remembers them, and register anew. */
  readonly force?: boolean
}

export interface SignInParts extends Pick<AuthorizationCodeParts, 'openUrl' | 'timeout' | 'turn'> {
  readonly receiver: RedirectReceiver
  /** Stores the outcome: the browser says "done" only afterwards. */
  readonly save: (result: SignInResult) => Promise<void>
}

/** What a sign-in brought: all of it is to be stored. */
export interface SignInResult {
  readonly tokens: TokenSet
  readonly registration: ClientRegistration | undefined
}

/** Signs a person in: port, challenge, discovery, client, browser, tokens. In this order, so that each can fail early. */
export async function signIn(
  request: SignInRequest,
  parts: SignInParts,
  context: FlowContext,
): Promise<SignInResult> {
  const registrations = request.force ? [] : request.registrations
  const address = redirectAddress(
    request.settings,
    request.registrations.map(({ redirect_uri }) => redirect_uri),
  )
  const listener = await parts.receiver.listen(address)
  try {
    context.emit({
      type: 'redirect_listening',
      server: context.server,
      redirect_uri: listener.redirectUri,
      ...(listener.port !== address.port && { instead_of: address.port }),
    })
    return await signInAt(listener, { ...request, registrations }, parts, context)
  } finally {
    await listener.close()
  }
}

async function signInAt(
  listener: RedirectListener,
  request: SignInRequest,
  parts: SignInParts,
  context: FlowContext,
): Promise<SignInResult> {
  const prepared = await prepareAuthorization(request, listener.redirectUri, context)
  return authorize(prepared, request, { ...parts, listener }, context)
}

/** `invalid_scope` earns one more try without `offline_access`, which we added on our own account. */
async function authorize(
  wanted: PreparedAuthorization,
  { settings, force, previous }: SignInRequest,
  parts: SignInParts & AuthorizationCodeParts,
  context: FlowContext,
): Promise<SignInResult> {
  const { discovery, scope, dpopKey } = wanted
  const { redirectUri } = parts.listener
  const foreign = foreignAuthorizationHost(discovery, settings)
  const needsConfirmation =
    foreign !== undefined && !wasConfirmed(foreign, discovery.metadata.issuer, previous)
  const ask = (requested: string | undefined, prompt: string | undefined) => {
    const complete = async ({ result: token, client: proven }: Proven<TokenAnswer>) => {
      const tokens: TokenSet = {
        ...newTokenSet({ discovery, client: proven, requested, token }, context),
        redirect_uri: redirectUri,
        ...(dpopKey && { dpop_key: dpopKey }),
        // Whoever came this far by a page of somebody else's has said yes to it.
        ...(foreign !== undefined && { confirmed_authorization_host: foreign }),
      }
      const result = { tokens, registration: proven.registration }
      await parts.save(result)
      return result
    }
    const request = { ...wanted, scope: requested, prompt, needsConfirmation }
    return authorizationCode(request, parts, complete, context)
  }
  try {
    return await ask(scope, promptFor(force, scope))
  } catch (error) {
    const added = asksOffline(scope) && !asksOffline(unionScope(settings.scope))
    if (!added || !refusesScope(error)) throw error
    const narrower = withoutOfflineAccess(scope)
    return ask(narrower, promptFor(force, narrower))
  }
}

/** Some servers look at the scope only when the code is exchanged. */
function refusesScope(error: unknown): boolean {
  const isRefusal = error instanceof AuthorizationRefusedError || error instanceof TokenRequestRefusedError
  return isRefusal && error.error === 'invalid_scope'
}
