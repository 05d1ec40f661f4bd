import type { IncomingMessage } from 'node:http'

/** A request that came from a person's browser for this very port, as far as its head can tell. */
export interface LoopbackRequest {
  /** As on the request line, still percent-encoded. */
  readonly path: string
  readonly query: URLSearchParams
  /** The browser only guesses that the person may go there. */
  readonly prefetch: boolean
  /** The browser says that it was a page of another origin that led here. */
  readonly fromElsewhere: boolean
}

/** Why a request is answered without being looked at any further. */
export interface Refusal {
  readonly status: number
  readonly reason: string
  readonly headers?: Readonly<Record<string, string>>
}

const longestTarget = 16 * 1024
const mostHeaders = 100

/**
 * Judges the head of a request to a loopback port: `Host`, method, target, and that it is a person's browser going to a
 * page. `Host` must be one of the names of this very port, or a page whose own name was rebound to 127.0.0.1 could ask.
 */
export function readRequest(request: IncomingMessage, port: number): LoopbackRequest | Refusal {
  const hosts = request.headersDistinct.host ?? []
  if (hosts.length !== 1 || !namesOf(port).includes(hosts[0]!.toLowerCase())) {
    return { status: 421, reason: 'This host is not served here.' }
  }
  if (request.method !== 'GET') {
    return { status: 405, reason: 'Only GET is answered here.', headers: { Allow: 'GET' } }
  }
  if (request.rawHeaders.length > 2 * mostHeaders)
    return { status: 431, reason: 'There are too many headers.' }
  if (carriesMore(request)) return { status: 400, reason: 'Nothing but a head is taken here.' }
  if (!isNavigation(request)) return { status: 403, reason: 'Nothing here is part of another page.' }
  const target = request.url ?? ''
  if (target.length > longestTarget) return { status: 414, reason: 'The address is too long.' }
  if (!target.startsWith('/')) return { status: 400, reason: 'The address is not a path.' }
  const mark = target.indexOf('?')
  return {
    path: mark < 0 ? target : target.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
    prefetch: `${request.headers['sec-purpose'] ?? ''} ${request.headers.purpose ?? ''}`.includes('prefetch'),
    fromElsewhere: !isOfThisPort(request),
  }
}

/** A body, or the wish to go on in another protocol. */
function carriesMore({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'] ?? '0'
  return headers['transfer-encoding'] !== undefined || length !== '0' || headers.upgrade !== undefined
}

/**
 * A browser says what a page asks for without the person: picture, frame, `fetch`. Not `Sec-Fetch-Mode`: Node's own
 * `fetch`, with which a program may stand in for the person, always sends `cors`. `empty` is also what the service
 * worker of a program that had this port before makes of a navigation.
 */
function isNavigation(request: IncomingMessage): boolean {
  const destination = request.headers['sec-fetch-dest'] ?? 'document'
  return destination === 'document' || (destination === 'empty' && isOfThisPort(request))
}

/** Asked for by a page of this port, or typed by a person, as far as the browser says. */
function isOfThisPort({ headers }: IncomingMessage): boolean {
  return ['same-origin', 'none'].includes(headers['sec-fetch-site'] ?? 'none')
}

function namesOf(port: number): string[] {
  const names = ['localhost', '127.0.0.1', '[::1]']
  const withPort = names.map((name) => `${name}:${port}`)
  // Browsers leave the scheme's default port out.
  return port === 80 ? [...withPort, ...names] : withPort
}

const parametersOfAResponse = ['code', 'state', 'iss', 'error', 'error_description', 'error_uri']

/** The `state` of a callback; `undefined` where there is none or a parameter stands twice (RFC 6749 §3.1). */
export function stateOf(query: URLSearchParams): string | undefined {
  if (parametersOfAResponse.some((name) => query.getAll(name).length > 1)) return undefined
  return query.get('state') || undefined
}
