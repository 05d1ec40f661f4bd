import {
  AuthorizationRefusedError,
  isLatchkeyError,
  type LatchkeyError,
  SignInTimedOutError,
} from '../errors/index.ts'
import { type AuthorizationRequest, createAuthorizationRequest } from '../oauth/authorization-request.ts'
import { processAuthorizationResponse, type ValidatedResponse } from '../oauth/authorization-response.ts'
import { type DpopKey, dpopThumbprint } from '../oauth/dpop-key.ts'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import type { TokenAnswer } from '../oauth/token-request.ts'
import type { PendingRedirect, RedirectListener, RedirectOutcome } from '../ports.ts'
import { type Proven, refusesClient } from './client-proof.ts'
import type { FlowContext } from './context.ts'
import type { Discovery } from './discover.ts'
import { exchangeCode } from './exchange-code.ts'
import type { ObtainedClient } from './obtain-client.ts'

/** Seconds without a callback after which the person is reminded of the redirect URI. */
const REMINDER = 30

export interface AuthorizationCodeRequest {
  readonly serverUrl: string
  readonly discovery: Discovery
  readonly client: ObtainedClient
  readonly scope: string | undefined
  readonly prompt: string | undefined
  /** The person has to confirm the host of the sign-in page. */
  readonly needsConfirmation: boolean
  /** The key that code and tokens are to be bound to. */
  readonly dpopKey: DpopKey | undefined
}

export interface AuthorizationCodeParts {
  readonly listener: RedirectListener
  /** Waits until the person may be asked: one browser tab at a time. */
  readonly turn: <T>(ask: () => Promise<T>) => Promise<T>
  /** Opens the browser, or tells that it did not: never rejects, and is not waited for. */
  readonly openUrl: (startUrl: string) => Promise<void>
  /** Milliseconds the person has. */
  readonly timeout: number
  /** Called before the code is exchanged: throws where the client does not belong to this issuer by now. */
  readonly mayExchange: (issuer: string) => Promise<void>
  /** Hears that the browser never came back: it may have shown an error instead of a sign-in page. Never rejects. */
  readonly unanswered: (client: ObtainedClient) => Promise<void>
}

/**
 * The authorization code grant with PKCE on a loopback redirect (RFC 6749 §4.1, RFC 7636, RFC 8252).
 * The page in the browser says "done" only after `complete` has stored what the exchange brought.
 */
export function authorizationCode<T>(
  request: AuthorizationCodeRequest,
  parts: AuthorizationCodeParts,
  complete: (proven: Proven<TokenAnswer>) => Promise<T>,
  context: FlowContext,
): Promise<T> {
  return parts.turn(() => askPerson(request, parts, complete, context))
}

async function askPerson<T>(
  request: AuthorizationCodeRequest,
  { listener, openUrl, timeout, mayExchange, unanswered }: AuthorizationCodeParts,
  complete: (proven: Proven<TokenAnswer>) => Promise<T>,
  context: FlowContext,
): Promise<T> {
  const { serverUrl, discovery, client, scope, prompt, needsConfirmation, dpopKey } = request
  const { metadata, resource } = discovery
  const authorization = await createAuthorizationRequest(metadata, {
    clientId: client.client.client_id,
    redirectUri: listener.redirectUri,
    scope,
    resource,
    ...(prompt && { prompt }),
    ...(dpopKey && { dpopJkt: await dpopThumbprint(dpopKey) }),
  })
  const { host: authorizationHost } = await context.judgePage(authorization.url, 'authorization_endpoint')
  const hosts = { serverHost: new URL(serverUrl).host, authorizationHost }
  const pending = listener.expect({
    state: authorization.state,
    authorizationUrl: authorization.url,
    serverName: context.server,
    loginCommand: context.loginCommand,
    ...hosts,
    ...(authorization.scope && { scope: authorization.scope }),
    ...(needsConfirmation && { confirmAgainst: new URL(metadata.issuer).host }),
  })
  const finish = onlyOnce(pending)
  const deadline = context.clock.now() + timeout
  let isAnswered = false
  try {
    const addresses = { ...hosts, startUrl: pending.startUrl, needsConfirmation }
    announce(authorization, addresses, deadline, client, context)
    void openUrl(pending.startUrl)
    const parameters = await answerOf(pending, timeout, client, listener, context)
    isAnswered = true
    const response = judgeResponse(parameters, authorization, metadata, context)
    await mayExchange(metadata.issuer)
    const proven = await exchangeCode(response, authorization, { metadata, client, dpopKey }, context)
    const completed = await complete(proven)
    finish({ kind: 'success' })
    return completed
  } catch (error) {
    finish(outcomeOf(error, client, context))
    const isSilence = error instanceof SignInTimedOutError || context.signal?.aborted
    if (!isAnswered && isSilence) await unanswered(client)
    throw error
  }
}

/** Tells of the answer only what was judged: an `error` with a wrong `iss` is not shown (RFC 9207 §2.4). */
export function judgeResponse(
  parameters: URLSearchParams,
  authorization: AuthorizationRequest,
  metadata: ServerMetadata,
  { emit, server }: FlowContext,
): ValidatedResponse {
  try {
    const response = processAuthorizationResponse(parameters, authorization, metadata)
    emit({ type: 'authorization_responded', server })
    return response
  } catch (error) {
    const { code } = error as LatchkeyError
    const said = error instanceof AuthorizationRefusedError ? error.error : code
    emit({ type: 'authorization_responded', server, error: said })
    throw error
  }
}

function announce(
  authorization: AuthorizationRequest,
  {
    serverHost,
    authorizationHost,
    startUrl,
    needsConfirmation,
  }: { serverHost: string; authorizationHost: string; startUrl: string; needsConfirmation: boolean },
  deadline: number,
  client: ObtainedClient,
  { emit, server }: FlowContext,
): void {
  emit({
    type: 'authorization_started',
    server,
    server_host: serverHost,
    issuer: authorization.issuer,
    authorization_host: authorizationHost,
    ...(authorization.scope && { scope: authorization.scope }),
    ...(authorization.resource && { resource: authorization.resource }),
    redirect_uri: authorization.redirectUri,
    client_kind: client.kind,
    ...(needsConfirmation && { needs_confirmation: true }),
    // Whoever opens what is shown has to come by the page that asks.
    authorization_url: needsConfirmation ? startUrl : authorization.url,
    start_url: startUrl,
    deadline,
  })
}

/** The callback's parameters, or the error of whatever came first: deadline, abort. */
async function answerOf(
  pending: PendingRedirect,
  timeout: number,
  client: ObtainedClient,
  { redirectUri }: RedirectListener,
  context: FlowContext,
): Promise<URLSearchParams> {
  const { clock, signal, emit, server } = context
  const cleanup: (() => void)[] = []
  try {
    return await new Promise<URLSearchParams>((resolve, reject) => {
      pending.response.then(resolve, reject)
      cleanup.push(clock.setTimer(() => reject(timedOut(context, timeout, client, redirectUri)), timeout))
      const remind = () =>
        emit({
          type: 'authorization_waiting',
          server,
          redirect_uri: redirectUri,
          client_kind: client.kind,
          elapsed: REMINDER,
        })
      cleanup.push(clock.setTimer(remind, REMINDER * 1000, { unref: true }))
      const abort = () => reject(signal!.reason)
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort, { once: true })
      cleanup.push(() => signal?.removeEventListener('abort', abort))
    })
  } finally {
    for (const undo of cleanup) undo()
  }
}

function timedOut(
  { server, loginCommand }: FlowContext,
  timeout: number,
  client: ObtainedClient,
  redirectUri: string,
): SignInTimedOutError {
  const seconds = Math.round(timeout / 1000)
  return new SignInTimedOutError({
    message: `Nobody finished the sign-in to ${server} within ${seconds} s.`,
    remedy: afterSilence(client, loginCommand, redirectUri),
    server,
    seconds,
  })
}

/** Many servers show an error page for what they do not know of the client, and never send the browser back. */
function afterSilence(
  { kind, client, isStored }: ObtainedClient,
  loginCommand: string,
  redirectUri: string,
): string {
  const again = `Run \`${loginCommand}\` again`
  const error = 'If the browser showed an error instead of coming back,'
  switch (kind) {
    case 'pre-registered':
      return `${again}. ${error} this redirect URI is probably not registered: ${redirectUri}`
    case 'metadata-document':
      return `${again}. ${error} the authorization server probably does not take ${client.client_id} as a client, or it does not list this redirect URI: ${redirectUri}`
    default:
      return isStored
        ? `${again}: it registers a new client. ${error} the authorization server probably no longer knows the one that was stored.`
        : `${again}. ${error} the authorization server did not take the client that it had just registered.`
  }
}

function outcomeOf(error: unknown, client: ObtainedClient, { signal }: FlowContext): RedirectOutcome {
  if (signal?.aborted) return { kind: 'cancelled' }
  if (!isLatchkeyError(error)) return { kind: 'error', message: 'latchkey met an error of its own.' }
  if (client.isStored && refusesClient(error)) {
    return {
      kind: 'error',
      message: 'The server no longer knows this program, which now introduces itself anew.',
      remedy: 'The sign-in goes on in a new tab.',
      code: error.code,
    }
  }
  if (error.code === 'sign_in_timed_out') return { kind: 'expired' }
  if (error.code === 'sign_in_cancelled') return { kind: 'cancelled' }
  if (error.code === 'authorization_refused' && (error as { error?: string }).error === 'access_denied') {
    return { kind: 'cancelled', message: error.summary }
  }
  return { kind: 'error', message: error.summary, remedy: error.remedy, code: error.code }
}

function onlyOnce(pending: PendingRedirect): PendingRedirect['finish'] {
  let finished = false
  return (outcome) => {
    if (finished) return
    finished = true
    pending.finish(outcome)
  }
}
