import type { JsonValue } from '../ports.ts'

/** The signature algorithms that proofs are made with, best known first (RFC 7518 §3.4): never symmetric, never `none`. */
const CURVES = {
  ES256: { crv: 'P-256', hash: 'SHA-256' },
  ES384: { crv: 'P-384', hash: 'SHA-384' },
  ES512: { crv: 'P-521', hash: 'SHA-512' },
} as const

export type DpopAlgorithm = keyof typeof CURVES

export const DPOP_ALGORITHMS = Object.keys(CURVES) as DpopAlgorithm[]

/** The key of one login as a private JWK (RFC 7517): kept with the tokens that are bound to it, shown nowhere. */
export interface DpopKey {
  readonly kty: 'EC'
  readonly alg: DpopAlgorithm
  readonly crv: string
  readonly x: string
  readonly y: string
  /** The private part. */
  readonly d: string
}

/**
 * The algorithm to sign with where a server takes `supported` (`dpop_signing_alg_values_supported`, RFC 9449 §5.1), or
 * `undefined` when none is common. A server that names none gets ES256.
 */
export function chooseDpopAlgorithm(supported: readonly string[] | undefined): DpopAlgorithm | undefined {
  return supported ? DPOP_ALGORITHMS.find((algorithm) => supported.includes(algorithm)) : 'ES256'
}

/** A fresh key. Extractable, as it has to be kept as long as the login. */
export async function generateDpopKey(alg: DpopAlgorithm): Promise<DpopKey> {
  const algorithm = { name: 'ECDSA', namedCurve: CURVES[alg].crv }
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const { crv, x, y, d } = await crypto.subtle.exportKey('jwk', privateKey)
  return { kty: 'EC', alg, crv: crv!, x: x!, y: y!, d: d! }
}

/** Whether a stored value is a whole key of ours. */
export function isDpopKey(value: unknown): value is DpopKey {
  if (typeof value !== 'object' || value === null) return false
  const { kty, alg, crv, x, y, d } = value as Record<string, JsonValue>
  const isKnown = kty === 'EC' && typeof alg === 'string' && Object.hasOwn(CURVES, alg)
  return isKnown && CURVES[alg as DpopAlgorithm].crv === crv && [x, y, d].every(isCoordinate)
}

/** The part of the key that everybody may see. */
export function publicJwk({ kty, crv, x, y }: DpopKey) {
  return { kty, crv, x, y }
}

/** The JWK SHA-256 thumbprint (RFC 7638 §3): what `dpop_jkt` and `cnf.jkt` hold. */
export async function dpopThumbprint({ crv, kty, x, y }: DpopKey): Promise<string> {
  // These members, in this order.
  return sha256(JSON.stringify({ crv, kty, x, y }))
}

/** A function that signs text as a JWS does: both numbers one after the other. */
export async function signerOf(key: DpopKey): Promise<(text: string) => Promise<string>> {
  const { crv, hash } = CURVES[key.alg]
  const { kty, x, y, d } = key
  const algorithm = { name: 'ECDSA', namedCurve: crv }
  const imported = await crypto.subtle.importKey('jwk', { kty, crv, x, y, d }, algorithm, false, ['sign'])
  return async (text) =>
    base64url(await crypto.subtle.sign({ name: 'ECDSA', hash }, imported, new TextEncoder().encode(text)))
}

export async function sha256(text: string): Promise<string> {
  return base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}

export function base64url(bytes: ArrayBuffer | Uint8Array): string {
  const characters = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte))
  return btoa(characters.join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function isCoordinate(value: JsonValue | undefined): boolean {
  return typeof value === 'string' && /^[\w-]{40,90}$/.test(value)
}
