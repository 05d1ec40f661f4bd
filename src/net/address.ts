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

/** For the translators of a network of one's own (RFC 8215), and private like the rest of it. */
const LOCAL_TRANSLATION = ipaddr.IPv6.parseCIDR('64:ff9b:1::/48')
/** Where the IPv4 address is behind a prefix of 48, 56, 64 and 96 bits (RFC 6052 §2.2): which one it is, is not known here. */
const PLACEMENTS = [
  [6, 7, 9, 10],
  [7, 9, 10, 11],
  [9, 10, 11, 12],
  [12, 13, 14, 15],
]

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
  if (parsed.match(LOCAL_TRANSLATION)) return locallyTranslatedKind(parsed.toByteArray())
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

/** Never public. Nobody's neighbour either where one of the readings is link-local: cloud metadata. */
function locallyTranslatedKind(bytes: readonly number[]): AddressKind {
  const isLinkLocal = PLACEMENTS.map((places) => new ipaddr.IPv4(places.map((place) => bytes[place]!))).some(
    (address) => address.range() === 'linkLocal',
  )
  return isLinkLocal ? 'special' : 'private'
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
