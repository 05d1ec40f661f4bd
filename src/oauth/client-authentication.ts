import * as oauth from 'oauth4webapi'
import type { ServerMetadata } from './server-metadata.ts'
import type { SigningKey } from './signing-key.ts'

/**
 * How a client proves itself at the token endpoint (RFC 7591 §2, `token_endpoint_auth_method`). The last is no method of
 * the RFC: Basic for a server that does not undo the form encoding of RFC 6749 §2.3.1.
 */
export type ClientAuthenticationMethod =
  | 'none'
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_basic_unencoded'
  | 'private_key_jwt'

/** A client as the authorization server knows it, and how it authenticates. */
export interface ClientInformation {
  readonly client_id: string
  readonly client_secret?: string
  /** Of the method `private_key_jwt`. */
  readonly signing_key?: SigningKey
  readonly token_endpoint_auth_method: ClientAuthenticationMethod
}

/**
 * The method for a client whose method nobody named: `none` without a secret; with one the body, where the server
 * lists it (Basic is encoded in three ways in the wild), else Basic, which RFC 8414 §2 makes the default.
 */
export function chooseAuthenticationMethod(
  supported: readonly string[] | undefined,
  hasSecret: boolean,
): ClientAuthenticationMethod {
  if (!hasSecret) return 'none'
  return supported?.includes('client_secret_post') ? 'client_secret_post' : 'client_secret_basic'
}

/** The method to ask for when registering: none, as a native app has no secret to keep, unless it is not offered. */
export function registrationAuthenticationMethod(
  supported: readonly string[] | undefined,
): ClientAuthenticationMethod {
  if (!supported || supported.includes('none')) return 'none'
  return chooseAuthenticationMethod(supported, true)
}

/** The method a registration answer names, or the one that fits what it brought. */
export function registeredAuthenticationMethod(
  named: string | undefined,
  hasSecret: boolean,
  metadata: ServerMetadata,
): ClientAuthenticationMethod {
  if (named === 'none' || !hasSecret) return 'none'
  if (named === 'client_secret_basic' || named === 'client_secret_post') return named
  return chooseAuthenticationMethod(metadata.token_endpoint_auth_methods_supported, hasSecret)
}

/**
 * The method to try where the server says that it does not know the client: one it advertises, else Basic without form
 * encoding where that makes a difference, else the body. `undefined` without a secret, or when there is no other.
 */
export function otherAuthenticationMethod(
  { client_id, client_secret, token_endpoint_auth_method: method }: ClientInformation,
  supported: readonly string[] | undefined,
): ClientAuthenticationMethod | undefined {
  if (client_secret === undefined) return undefined
  switch (method) {
    case 'none':
      return chooseAuthenticationMethod(supported, true)
    case 'client_secret_post':
      return supported && !supported.includes('client_secret_basic') ? undefined : 'client_secret_basic'
    case 'client_secret_basic': {
      const isSameEncoded = [client_id, client_secret].every((text) => formEncoded(text) === text)
      return isSameEncoded || supported?.includes('client_secret_post')
        ? 'client_secret_post'
        : 'client_secret_basic_unencoded'
    }
    default:
      return undefined
  }
}

/** Puts the client's proof on a token or revocation request (RFC 6749 §2.3). */
export function clientAuthentication({
  client_secret,
  signing_key,
  token_endpoint_auth_method,
}: ClientInformation): oauth.ClientAuth {
  if (token_endpoint_auth_method === 'private_key_jwt' && signing_key) return privateKeyJwt(signing_key)
  if (token_endpoint_auth_method === 'none' || client_secret === undefined) return oauth.None()
  if (token_endpoint_auth_method === 'client_secret_post') return oauth.ClientSecretPost(client_secret)
  return token_endpoint_auth_method === 'client_secret_basic_unencoded'
    ? basic(client_secret, utf8)
    : basic(client_secret, formEncoded)
}

/** RFC 7523 §2.2: a new assertion for each request, good for a minute. */
function privateKeyJwt({ key, audience }: SigningKey): oauth.ClientAuth {
  return oauth.PrivateKeyJwt(key, {
    [oauth.modifyAssertion]: (_header, payload) => {
      if (audience !== undefined) payload.aud = audience
    },
  })
}

/**
 * RFC 6749 §2.3.1, escaping only what the form encoding must: oauth4webapi escapes `-`, `.`, `_` and `~` as well, and
 * a server that does not decode would then refuse every UUID.
 */
function basic(secret: string, encode: (text: string) => string): oauth.ClientAuth {
  return (_server, { client_id }, _body, headers) => {
    headers.set('authorization', `Basic ${btoa(`${encode(client_id)}:${encode(secret)}`)}`)
  }
}

/** Bytes as characters, which is what `btoa` takes. */
function utf8(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text))
}

/** Half a surrogate pair becomes what `URLSearchParams` makes of it in a body; by itself it would throw. */
function formEncoded(text: string): string {
  return encodeURIComponent(text.replace(/\p{Cs}/gu, '\ufffd'))
    .replaceAll('%20', '+')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
