import { UrlRefusedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import { isPrivateAddress } from './private-address.ts'

/** Decides which URLs may be requested or opened for one configured server. */
export interface UrlPolicy {
  /**
   * @param purpose what the URL is for, as named on the wire: `token_endpoint`
   * @throws `url_refused`
   */
  judge(url: string, purpose: string): URL
}

/**
 * https everywhere; http on the loopback interface, and only when the user's own server is there as well, so that no
 * remote server can point this machine at itself or at its neighbours (MCP security best practices, SSRF). Names are not
 * resolved here.
 *
 * @param configured URLs beside the server's that stand in the configuration
 */
export function createUrlPolicy(serverUrl: string, configured: readonly string[] = []): UrlPolicy {
  const server = new URL(serverUrl)
  const chosen = [serverUrl, ...configured].map((url) => new URL(url).origin)
  const serverIsLoopback = isLoopbackHost(server.hostname)
  const serverIsNear = serverIsLoopback || isPrivateAddress(server.hostname)
  return {
    judge(text, purpose) {
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (!url) throw refused(text, purpose, 'it is not a URL')
      if (url.username || url.password) throw refused(text, purpose, 'it carries a user name or password')
      // The user chose these origins; everything else was named by a server.
      if (chosen.includes(url.origin)) return url
      const loopback = isLoopbackHost(url.hostname)
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
        throw refused(text, purpose, 'only https is allowed')
      }
      if (namesThisMachine(url.hostname) && !serverIsLoopback) {
        throw refused(text, purpose, 'a remote server may not name an address on this machine')
      }
      if (isPrivateAddress(url.hostname) && !serverIsNear) {
        throw refused(text, purpose, 'a remote server may not name an address in a private network')
      }
      return url
    },
  }
}

/** `localhost`, `*.localhost`, 127.0.0.0/8 and `[::1]`, as the URL parser spells them. */
export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  )
}

/** The same, and what reaches this machine without being a loopback address: unspecified, IPv4 in IPv6, final dot. */
function namesThisMachine(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '')
  return (
    isLoopbackHost(host) ||
    ['0.0.0.0', '[::]', '[::ffff:0:0]'].includes(host) ||
    /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(host)
  )
}

function refused(text: string, purpose: string, why: string): UrlRefusedError {
  const url = shownUrl(text)
  return new UrlRefusedError({
    message: `The ${purpose} ${url} was not used: ${why}.`,
    remedy:
      'Nothing was sent there. If this server is yours, correct its metadata; else do not sign in to it.',
    url,
    purpose,
  })
}
