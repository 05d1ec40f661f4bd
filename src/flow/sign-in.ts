import { AuthorizationRefusedError, TokenRequestRefusedError } from '../errors/index.ts'
import { unionScope, withoutOfflineAccess } from '../oauth/scope.ts'
import type { TokenAnswer } from '../oauth/token-request.ts'
import type { RedirectListener, RedirectReceiver } from '../ports.ts'
import { type AuthorizationCodeParts, authorizationCode } from './authorization-code.ts'
import { hostToConfirm, wasConfirmed } from './authorization-host.ts'
import { mayNotKnowClient, type Proven, refusesClient } from './client-proof.ts'
import type { FlowContext } from './context.ts'
import { type ClientRequest, type ObtainedClient, replaceClient } from './obtain-client.ts'
import { withinPreparationLimit } from './preparation-limit.ts'
import {
  asksOffline,
  type PreparedAuthorization,
  prepareAuthorization,
  promptFor,
  type SignInRequest,
} from './prepare-authorization.ts'
import { redirectAddress } from './redirect-address.ts'
import { type ClientRegistration, newTokenSet, type TokenSet } from './token-set.ts'

export interface SignInParts
  extends Pick<AuthorizationCodeParts, 'openUrl' | 'timeout' | 'turn' | 'mayExchange'> {
  readonly receiver: RedirectReceiver
  /** Stores the outcome: the browser says "done" only afterwards. */
  readonly save: (result: SignInResult) => Promise<void>
  /** Remembers that the server may have forgotten this stored client. */
  readonly doubt: (registration: ClientRegistration) => Promise<void>
}

/** What a sign-in brought: all of it is to be stored. */
export interface SignInResult {
  readonly tokens: TokenSet
  readonly registration: ClientRegistration | undefined
  /** The client was registered in this sign-in: it takes the place of another one. */
  readonly isNewClient: boolean
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
  const { server, signal, emit } = context
  const listener = await parts.receiver.listen(address, {
    limit: parts.timeout,
    onWait: () => emit({ type: 'sign_in_queued', server, ahead: 1, elsewhere: 'other_login' }),
    ...(signal && { signal }),
  })
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
  const { client, clientRequest, ...wanted } = prepared
  const doubt = ({ isStored, registration }: ObtainedClient) => doubted(isStored && registration, parts)
  const authorizeAs = (as: ObtainedClient) =>
    authorize({ ...wanted, client: as }, request, { ...parts, listener, unanswered: doubt }, context)
  try {
    return await authorizeAs(client)
  } catch (error) {
    const isRefused = refusesClient(error)
    if (isRefused || mayNotKnowClient(error)) await doubt(client)
    // Once: a client that was registered a moment ago and is refused as well will not be helped by the next one.
    const replacement = isRefused ? await replaced(client, clientRequest, context) : undefined
    if (!replacement) throw error
    return authorizeAs(replacement)
  }
}

function replaced(client: ObtainedClient, request: ClientRequest, context: FlowContext) {
  return withinPreparationLimit(request.serverUrl, context, (limited) =>
    replaceClient(client, request, limited),
  )
}

/** What went wrong counts more than that this could not be noted. */
async function doubted(
  registration: ClientRegistration | undefined | false,
  { doubt }: Pick<SignInParts, 'doubt'>,
): Promise<void> {
  if (registration) await doubt(registration).catch(() => {})
}

/** `invalid_scope` earns one more try without `offline_access`, which we added on our own account. */
async function authorize(
  wanted: Omit<PreparedAuthorization, 'clientRequest'>,
  { serverUrl, settings, force, previous }: SignInRequest,
  parts: SignInParts & AuthorizationCodeParts,
  context: FlowContext,
): Promise<SignInResult> {
  const { discovery, scope, dpopKey } = wanted
  const { redirectUri } = parts.listener
  const doubtful = hostToConfirm(discovery, settings, serverUrl)
  const needsConfirmation =
    doubtful !== undefined && !wasConfirmed(doubtful, discovery.metadata.issuer, previous)
  const ask = (requested: string | undefined, prompt: string | undefined) => {
    const complete = async ({ result: token, client: proven }: Proven<TokenAnswer>) => {
      const tokens: TokenSet = {
        ...newTokenSet({ discovery, client: proven, requested, token }, context),
        redirect_uri: redirectUri,
        ...(dpopKey && { dpop_key: dpopKey }),
        // Whoever came this far by such a page has said yes to it.
        ...(doubtful !== undefined && { confirmed_authorization_host: doubtful }),
      }
      const { registration, isStored = false } = proven
      const result = { tokens, registration, isNewClient: registration !== undefined && !isStored }
      await parts.save(result)
      return result
    }
    const request = { ...wanted, serverUrl, scope: requested, prompt, needsConfirmation }
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
