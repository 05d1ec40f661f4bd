import { UrlRefusedError } from '../errors/index.ts'
import { isUrl, shownUrl } from '../errors/shown-url.ts'
import type { NetworkOptions, Reach } from '../ports.ts'
import { addressKind, literalAddress } from './address.ts'

/** Decides which URLs may be requested or opened for one configured server, and where their names may lead. */
export interface UrlPolicy {
  /**
   * @param purpose what the URL is for, as named on the wire: `token_endpoint`
   * @throws `url_refused`
   */
  judge(url: string, purpose: string): URL
  /** Where the host of a URL that was judged may be. */
  reach(url: URL): Reach
  /** An https server that turns out to be in a private network may name others there. */
  readonly widensFor?: string
}

/**
 * https everywhere; http on the loopback interface, and only when the user's own server is there as well. What a remote
 * server names has to be public, so that it can point this machine neither at itself nor at its neighbours (MCP security
 * best practices, SSRF). What the user wrote is the user's choice, unless the program says otherwise.
 */
export function createUrlPolicy(serverUrl: string, options: NetworkOptions = {}): UrlPolicy {
  const { configured = [], privateAddresses = false, publicOnly = false } = options
  const server = new URL(serverUrl)
  const chosen = publicOnly ? [] : [serverUrl, ...configured].map((url) => new URL(url).origin)
  const named = reachOfNamed(server, privateAddresses, publicOnly)
  return {
    judge(text, purpose) {
      const url = isUrl(text) ? new URL(text) : undefined
      if (!url) throw refused(text, purpose, 'it is not a URL')
      if (url.username || url.password) throw refused(text, purpose, 'it carries a user name or password')
      // The user chose these origins; everything else was named by a server.
      if (chosen.includes(url.origin)) return url
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
        throw refused(text, purpose, 'only https is allowed')
      }
      const near = nearness(url.hostname)
      if (near !== undefined && !ALLOWED[named].includes(near)) {
        throw refused(text, purpose, WHY[near], near === 'private' ? HINT : '')
      }
      return url
    },
    reach: (url) => (chosen.includes(url.origin) ? 'any' : named),
    ...(named === 'public' && !publicOnly && server.protocol === 'https:' && { widensFor: server.origin }),
  }
}

/** Why a host is not on the internet. */
type Near = 'loopback' | 'private' | 'special'

const WHY: Readonly<Record<Near, string>> = {
  loopback: 'a remote server may not name an address on this machine',
  private: 'a remote server may not name an address in a private network',
  special: 'a server may not name an address that belongs to no single computer on the internet',
}

const HINT =
  'If these servers are in your own network, set `auth.private_addresses` to "accept" for this one. '

const ALLOWED: Readonly<Record<Reach, readonly Near[]>> = {
  any: ['loopback', 'private', 'special'],
  loopback: ['loopback', 'private'],
  private: ['private'],
  public: [],
}

/** As far as the user's own server is, what it names may be as well. */
function reachOfNamed(server: URL, privateAddresses: boolean, publicOnly: boolean): Reach {
  if (publicOnly) return 'public'
  const kind = nearness(server.hostname)
  if (kind === 'loopback') return 'loopback'
  return kind === 'private' || privateAddresses ? 'private' : 'public'
}

/** Of a host that is near by its name or literal address; `undefined`: it is public, or only resolving will tell. */
function nearness(hostname: string): Near | undefined {
  if (isLocalhost(hostname.replace(/\.$/, ''))) return 'loopback'
  const address = literalAddress(hostname)
  const kind = address === undefined ? 'public' : addressKind(address)
  if (kind === 'public') return undefined
  return kind === 'benchmark' ? 'special' : kind
}

/** `localhost`, `*.localhost`, 127.0.0.0/8 and `[::1]`, as the URL parser spells them. */
export function isLoopbackHost(hostname: string): boolean {
  return isLocalhost(hostname) || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function isLocalhost(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost')
}

/** That a name led to no address which may be used. */
export function refusedAddress(url: string, purpose: string, cause: unknown): UrlRefusedError {
  const why =
    'its name leads to an address on this machine or in a private network, which a remote server may not choose'
  return refused(url, purpose, why, HINT, cause)
}

function refused(text: string, purpose: string, why: string, hint = '', cause?: unknown): UrlRefusedError {
  const url = shownUrl(text)
  return new UrlRefusedError({
    message: `The ${purpose} ${url} was not used: ${why}.`,
    remedy: `${hint}Nothing was sent there. If this server is yours, correct its metadata; else do not sign in to it.`,
    url,
    purpose,
    cause,
  })
}
