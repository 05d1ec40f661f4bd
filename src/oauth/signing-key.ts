import type * as oauth from 'oauth4webapi'
import { ConfigInvalidError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'

/** A private key and what a client assertion made with it says (RFC 7523 §3). */
export interface SigningKey {
  readonly key: Parameters<typeof oauth.PrivateKeyJwt>[0]
  /** `alg` of what it signs. */
  readonly algorithm: string
  /** `aud`; default the issuer of the authorization server. */
  readonly audience?: string
}

/** How WebCrypto calls what a key signs with. In the order in which a key of no named algorithm is tried. */
const ALGORITHMS: Readonly<Record<string, object>> = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  ES512: { name: 'ECDSA', namedCurve: 'P-521' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  RS384: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-384' },
  RS512: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  PS384: { name: 'RSA-PSS', hash: 'SHA-384' },
  PS512: { name: 'RSA-PSS', hash: 'SHA-512' },
  Ed25519: { name: 'Ed25519' },
}

export interface SigningKeyOptions {
  readonly algorithm?: string | undefined
  readonly keyId?: string | undefined
  readonly audience?: string | undefined
}

/**
 * Reads a private key in PKCS#8 PEM (RFC 5958). It cannot be taken out again, and no message shows any of it.
 *
 * @throws `config_invalid` when it is no such key, or cannot sign with the algorithm
 */
export async function importSigningKey(
  pem: string,
  { algorithm, keyId, audience }: SigningKeyOptions,
): Promise<SigningKey> {
  const [, label, body = ''] = /-----BEGIN ([A-Z ]+)-----([\s\S]+?)-----END/.exec(pem) ?? []
  if (label !== 'PRIVATE KEY') throw notPkcs8(label)
  const der = bytesOf(body)
  for (const name of algorithm === undefined ? Object.keys(ALGORITHMS) : [algorithm]) {
    try {
      const key = await crypto.subtle.importKey('pkcs8', der, ALGORITHMS[name] as { name: string }, false, [
        'sign',
      ])
      return {
        key: keyId === undefined ? key : { key, kid: keyId },
        algorithm: name,
        ...(audience !== undefined && { audience }),
      }
    } catch {
      // Of another kind than this name.
    }
  }
  throw new ConfigInvalidError({
    key: 'auth.private_key',
    message:
      algorithm === undefined
        ? 'auth.private_key: not a private key that can sign with any known algorithm.'
        : `auth.private_key: not a private key that can sign with ${algorithm}.`,
    remedy: `Known are ${Object.keys(ALGORITHMS).join(', ')}; leave \`signing_algorithm\` out to go by the key.`,
  })
}

/**
 * @param supported `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 §2); absent says nothing
 * @throws `config_invalid` when the authorization server would not take a signature of this key
 */
export function assertAlgorithmSupported(
  { algorithm }: SigningKey,
  supported: readonly string[] | undefined,
): void {
  // RFC 9864 gave Ed25519 its own name; servers may list the one from before.
  const names = algorithm === 'Ed25519' ? [algorithm, 'EdDSA'] : [algorithm]
  if (!supported || names.some((name) => supported.includes(name))) return
  const listed = supported.map((name) => quoteServerText(name)).join(', ') || 'none'
  throw new ConfigInvalidError({
    key: 'auth.signing_algorithm',
    message: `auth.private_key: it signs with ${algorithm}, but the authorization server takes only ${listed}.`,
    remedy: 'Set `signing_algorithm` to one of these, or use a key that can sign with one of them.',
  })
}

function notPkcs8(label: string | undefined): ConfigInvalidError {
  const isEncrypted = label === 'ENCRYPTED PRIVATE KEY'
  return new ConfigInvalidError({
    key: 'auth.private_key',
    message: `auth.private_key: found ${label === undefined ? 'no PEM' : isEncrypted ? 'an encrypted key' : 'a key of another form'}, expected PKCS#8 ("-----BEGIN PRIVATE KEY-----").`,
    remedy: 'Convert it: openssl pkcs8 -topk8 -nocrypt -in key.pem -out key.pkcs8.pem',
  })
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64.replace(/\s/g, '')), (character) => character.charCodeAt(0))
  } catch {
    throw notPkcs8(undefined)
  }
}
