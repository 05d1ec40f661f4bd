import type { OAuthSettings } from '../definitions.ts'
import { internationalHost } from '../errors/international-host.ts'
import type { Discovery } from './discover.ts'
import type { TokenSet } from './token-set.ts'

/**
 * The host of the sign-in page, where it is neither the issuer's own, one below it, nor its parent domain, and the
 * configuration does not vouch for it: whoever wrote the metadata sends the person to somebody else's page.
 */
export function foreignAuthorizationHost(
  { metadata, source }: Pick<Discovery, 'metadata' | 'source'>,
  { authorization_hosts = [] }: Pick<OAuthSettings, 'authorization_hosts'>,
): string | undefined {
  if (source === 'configuration' || metadata.authorization_endpoint === undefined) return undefined
  const page = new URL(metadata.authorization_endpoint)
  const [hostname, issuer] = [page, new URL(metadata.issuer)].map(withoutFinalDot) as [string, string]
  const belongs = hostname === issuer || hostname.endsWith(`.${issuer}`) || hostname === parentDomain(issuer)
  return belongs || authorization_hosts.includes(page.host) ? undefined : page.host
}

/**
 * The host of the sign-in page that a person has to confirm: a foreign one, and one whose letters may only look like
 * those of a name they know, unless it is the host of the server that they configured themselves.
 */
export function hostToConfirm(
  { metadata, source }: Pick<Discovery, 'metadata' | 'source'>,
  { authorization_hosts = [] }: Pick<OAuthSettings, 'authorization_hosts'>,
  serverUrl: string,
): string | undefined {
  const foreign = foreignAuthorizationHost({ metadata, source }, { authorization_hosts })
  if (foreign !== undefined) return foreign
  if (source === 'configuration' || metadata.authorization_endpoint === undefined) return undefined
  const { host } = new URL(metadata.authorization_endpoint)
  const isVouchedFor = authorization_hosts.includes(host) || host === new URL(serverUrl).host
  return isVouchedFor || !internationalHost(host) ? undefined : host
}

/** Whether the person said yes to this host before, for the same issuer. */
export function wasConfirmed(host: string, issuer: string, previous: TokenSet | undefined): boolean {
  return previous?.issuer === issuer && previous.confirmed_authorization_host === host
}

function withoutFinalDot({ hostname }: URL): string {
  return hostname.replace(/\.$/, '')
}

/** Not a top-level domain, and of no IP address: `auth.example.com` has `example.com`, `example.com` has none. */
function parentDomain(hostname: string): string | undefined {
  const parent = hostname.slice(hostname.indexOf('.') + 1)
  return /^[\d.]+$|^\[/.test(hostname) || !parent.includes('.') ? undefined : parent
}
