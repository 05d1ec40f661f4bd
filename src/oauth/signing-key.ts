import type * as oauth from 'oauth4webapi'
import { ConfigInvalidError } from '../errors/index.ts'

/** A private key and what a client assertion made with it says (RFC 7523 §3). */
export interface SigningKey {
  readonly key: Parameters<typeof oauth.PrivateKeyJwt>[0]
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
