import ipaddr from 'ipaddr.js'
import type { Reach } from '../ports.ts'

/** What an IP address is to a machine that others may name addresses to. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'special' | 'benchmark'

const KINDS: Readonly<Record<string, AddressKind>> = {
  unicast: 'public',
  private: 'private',
  carrierGradeNat: 'private',
  uniqueLocal: 'private',
  deprecatedSiteLocal: 'private',
  loopback: 'loopback',
  // Connecting to 0.0.0.0 or :: ends at this machine.
  unspecified: 'loopback',
}

const BENCHMARK = ipaddr.IPv4.parseCIDR('198.18.0.0/16')
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/** Ranges of IPv6 that stand for an IPv4 address, with the byte where that begins. */
const EMBEDDED: Readonly<Record<string, number>> = { ipv4Mapped: 12, rfc6145: 12, rfc6052: 12, '6to4': 2 }

/**
 * The kind of an address in the RFC 6890 registries; an IPv6 address that stands for an IPv4 one is of that one's kind.
 * `special`: link-local (cloud metadata), multicast, reserved, and what no parser understands.
 *
 * @param address without brackets
 */
export function addressKind(address: string): AddressKind {
  if (!ipaddr.isValid(address)) return 'special'
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv4) {
    return parsed.match(BENCHMARK) ? 'benchmark' : (KINDS[parsed.range()] ?? 'special')
  }
  const range = parsed.range()
  const start = EMBEDDED[range]
  if (start !== undefined)
    return addressKind(
      parsed
        .toByteArray()
        .slice(start, start + 4)
        .join('.'),
    )
  const kind = KINDS[range] ?? 'special'
  return kind === 'public' && !parsed.match(GLOBAL_UNICAST) ? 'special' : kind
}

/**
 * Whether a connection that may go as far as `reach` may be made to an address that a name led to. 198.18.0.0/16 is what
 * the resolvers of VPN clients answer for every name in the world. Its other half is not let through: some clouds put
 * containers there.
 */
export function isWithinReach(address: string, reach: Reach): boolean {
  if (reach === 'any') return true
  const kind = addressKind(address)
  return kind === 'benchmark' || REACHES[reach].includes(kind)
}

const REACHES: Readonly<Record<Exclude<Reach, 'any'>, readonly AddressKind[]>> = {
  public: ['public'],
  private: ['public', 'private'],
  loopback: ['public', 'private', 'loopback'],
}

/** The IP address that a host of a URL is, without brackets; `undefined` for a name. */
export function literalAddress(hostname: string): string | undefined {
  const host = hostname.replace(/\.$/, '').replace(/^\[(.*)\]$/, '$1')
  return ipaddr.isValid(host) ? host : undefined
}
