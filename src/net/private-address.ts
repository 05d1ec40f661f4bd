/** First address and prefix length of the networks that are not the internet (RFC 6890), loopback apart. */
const IPV4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
].map(([address, length]) => [ipv4Bits(String(address))!, Number(length)] as const)

/** fc00::/7, fe80::/10 and the site-local fec0::/10 of old: by their first 16 bits. */
const isPrivateIpv6 = (first: number) => first >> 9 === 0xfc00 >> 9 || first >> 7 === 0xfe80 >> 7

/**
 * Whether a host is an address in a private or link-local network.
 *
 * @param hostname of a `URL`: the parser has undone octal, hexadecimal and short forms by then
 */
export function isPrivateAddress(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '')
  const bits = ipv4Bits(host) ?? mappedIpv4(host)
  if (bits !== undefined) {
    return IPV4.some(([network, length]) => bits >>> (32 - length) === network >>> (32 - length))
  }
  const [, first] = /^\[([0-9a-f]{1,4}):/.exec(host) ?? []
  return first !== undefined && isPrivateIpv6(Number.parseInt(first, 16))
}

function ipv4Bits(host: string): number | undefined {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(host)) return undefined
  return host.split('.').reduce((bits, octet) => ((bits << 8) | Number(octet)) >>> 0, 0)
}

/** IPv4 in IPv6 (`::ffff:0:0/96`) and NAT64 (`64:ff9b::/96`), as the URL parser spells them. */
function mappedIpv4(host: string): number | undefined {
  const [, high, low] = /^\[(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host) ?? []
  if (high === undefined || low === undefined) return undefined
  return ((Number.parseInt(high, 16) << 16) | Number.parseInt(low, 16)) >>> 0
}
