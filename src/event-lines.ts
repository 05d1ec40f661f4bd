import { cleanServerText, quoteServerText } from './errors/server-text.ts'
import type { HttpExchange, LatchkeyEvent } from './events.ts'

/**
 * One event as one line of debug output: server, stage, what happened. Whatever a server chose is cleaned of control
 * characters; of the authorization URL only harmless values are shown.
 */
export function renderEvent(event: LatchkeyEvent): string {
  const render = RENDERERS[event.type] as (event: LatchkeyEvent) => readonly [stage: string, text: string]
  const [stage, text] = render(event)
  const server = event.server === undefined ? '' : ` ${cleanServerText(event.server, 80)}`
  return `latchkey${server}: ${stage.padEnd(13)} ${text}`
}

type Renderers = {
  [T in LatchkeyEvent['type']]: (event: Extract<LatchkeyEvent, { type: T }>) => readonly [string, string]
}

const RENDERERS: Renderers = {
  http_exchange: (event) => [event.stage, exchange(event)],
  challenge_received: ({ status, scheme, ...said }) => [
    'challenge',
    words(String(status), scheme === undefined ? 'without a challenge' : word(scheme), {
      error: said.error,
      scope: said.scope,
      resource_metadata: said.resource_metadata,
    }),
  ],
  challenge_ignored: ({ resource_metadata, reason }) => [
    'challenge',
    words('not followed:', word(reason), { resource_metadata }),
  ],
  resource_metadata_found: ({ resource, authorization_servers, scopes_supported }) => [
    'discovery',
    words('protected resource', {
      resource,
      authorization_servers: authorization_servers.join(' '),
      scopes_supported: scopes_supported?.join(' '),
    }),
  ],
  server_metadata_found: ({ type: _type, server: _server, source, ...endpoints }) => [
    'discovery',
    words('authorization server', { ...endpoints, from: source }),
  ],
  client_selected: ({ kind, client_id, redirect_uri }) => [
    'client',
    words(kind, { client_id, redirect_uri }),
  ],
  redirect_listening: ({ redirect_uri, instead_of }) => [
    'callback',
    words('listening', { redirect_uri, instead_of_port: instead_of }),
  ],
  sign_in_queued: ({ ahead, elsewhere }) => [
    'authorization',
    elsewhere === 'same_login'
      ? 'another process signs in here: waits for its outcome'
      : `waits for ${ahead} other ${ahead === 1 ? 'sign-in' : 'sign-ins'}${elsewhere ? ' of another process' : ''}`,
  ],
  authorization_started: ({ authorization_url, needs_confirmation, authorization_host, deadline }) => [
    'authorization',
    `${needs_confirmation ? words('to be confirmed', { authorization_host }) : shownAuthorizationUrl(authorization_url)} until ${new Date(deadline).toISOString()}`,
  ],
  browser_opened: () => ['authorization', 'browser opened'],
  browser_failed: ({ reason }) => ['authorization', `no browser: ${word(reason)}`],
  authorization_waiting: ({ elapsed, redirect_uri }) => [
    'authorization',
    words(`no answer after ${elapsed} s`, { redirect_uri }),
  ],
  authorization_responded: ({ error }) => [
    'authorization',
    error === undefined ? 'the browser came back' : words('the browser came back', { error }),
  ],
  token_received: ({ grant, scope, expires_at, refreshable }) => [
    'token',
    words('received', {
      grant,
      scope,
      expires: expires_at === undefined ? 'not said' : new Date(expires_at * 1000).toISOString(),
      refresh_token: refreshable ? 'yes' : 'no',
    }),
  ],
  refresh_failed: ({ code, terminal }) => [
    'token',
    words(terminal ? 'the login is over' : 'not renewed, the login is kept', { code }),
  ],
  credentials_saved: ({ location }) => ['store', `saved in ${word(location)}`],
  signed_in: () => ['store', 'signed in'],
  signed_out: ({ revoked }) => ['revocation', revoked ? 'signed out and revoked' : 'signed out, not revoked'],
  authorization_changed: ({ authorization, scope }) => [
    'mcp',
    words(authorization === 'signed_in' ? 'from now on signed in' : 'from now on anonymous', { scope }),
  ],
  connected: ({ transport, protocol_version }) => [
    'mcp',
    words('connected', { transport, protocol_version }),
  ],
  warning: ({ code, message }) => ['warning', words(word(message), { code })],
}

function exchange({ method, url, status, content_type, duration, attempt, failure }: HttpExchange): string {
  const answer = failure === undefined ? String(status) : word(failure)
  const type = content_type === undefined ? '' : ` ${cleanServerText(content_type.split(';')[0]!, 60)}`
  const again = attempt > 1 ? ` (try ${attempt})` : ''
  return `${method} ${word(url)} -> ${answer}${type}, ${duration} ms${again}`
}

/** Words, then `name=value` for what is known. */
function words(...parts: (string | Record<string, string | number | undefined>)[]): string {
  return parts
    .flatMap((part) => {
      if (typeof part === 'string') return [part]
      return Object.entries(part)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `${name}=${fieldValue(String(value))}`)
    })
    .join(' ')
}

function fieldValue(value: string): string {
  return /[\s"]/.test(value) ? quoteServerText(value, 1000) : cleanServerText(value, 1000)
}

function word(text: string): string {
  return cleanServerText(text, 1000)
}

/** Parameters whose values are no secrets and say what went wrong when something did. */
const SHOWN_PARAMETERS = [
  'response_type',
  'client_id',
  'redirect_uri',
  'scope',
  'resource',
  'code_challenge_method',
  'prompt',
]

function shownAuthorizationUrl(text: string): string {
  if (!URL.canParse(text)) return '(not a URL)'
  const url = new URL(text)
  const query = [...url.searchParams].map(
    ([name, value]) =>
      `${word(name)}=${SHOWN_PARAMETERS.includes(name) ? word(value).replaceAll(' ', '+') : '…'}`,
  )
  return `${url.origin}${url.pathname}?${query.join('&')}`
}
