import type { Clock } from '../ports.ts'
import type { Answer } from './answer.ts'
import { stringMember } from './answer.ts'
import type { Challenge } from './challenge.ts'
import { base64url, type DpopKey, publicJwk, sha256, signerOf } from './dpop-key.ts'

/** What one proof is for. */
export interface ProvenRequest {
  /** As it goes over the wire: `POST`. */
  readonly method: string
  readonly url: string
  /** For a protected resource: the token that the request carries. */
  readonly accessToken?: string
}

/**
 * Proves possession of one key (RFC 9449 §4), with the nonces that servers want to see in the proofs. A nonce belongs to
 * the origin that gave it (§8, §9); it is short-lived, so nothing of this is stored.
 */
export class DpopProver {
  readonly key: DpopKey
  readonly #clock: Pick<Clock, 'now'>
  readonly #nonces = new Map<string, string>()
  #sign: ReturnType<typeof signerOf> | undefined

  constructor(key: DpopKey, clock: Pick<Clock, 'now'>) {
    this.key = key
    this.#clock = clock
  }

  /** A new proof (RFC 9449 §4.2) for exactly one request: another try of the same request needs another one. */
  async proof({ method, url, accessToken }: ProvenRequest): Promise<string> {
    const { origin, pathname } = new URL(url)
    const nonce = this.#nonces.get(origin)
    const header = { typ: 'dpop+jwt', alg: this.key.alg, jwk: publicJwk(this.key) }
    const claims = {
      jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
      htm: method,
      // Without query and fragment (§4.2).
      htu: origin + pathname,
      iat: Math.floor(this.#clock.now() / 1000),
      ...(accessToken !== undefined && { ath: await sha256(accessToken) }),
      ...(nonce !== undefined && { nonce }),
    }
    this.#sign ??= signerOf(this.key)
    const sign = await this.#sign
    const signed = [header, claims].map((part) => base64url(new TextEncoder().encode(JSON.stringify(part))))
    return `${signed.join('.')}.${await sign(signed.join('.'))}`
  }

  /** Keeps the nonce of an answer, whatever its status (RFC 9449 §8.2). False when it brought none that is new. */
  remember(url: string, headers: Headers): boolean {
    const { origin } = new URL(url)
    const nonce = headers.get('dpop-nonce')
    if (!nonce || this.#nonces.get(origin) === nonce) return false
    this.#nonces.set(origin, nonce)
    return true
  }

  /** Puts a proof on a request to the authorization server; to be called for every try. */
  sign = async (url: string, init: RequestInit): Promise<RequestInit> => {
    const headers = new Headers(init.headers)
    headers.set('dpop', await this.proof({ method: init.method ?? 'GET', url }))
    return { ...init, headers }
  }
}

/**
 * Sends a token request, and once more when the authorization server wants its nonce in the proof (RFC 9449 §8): it has
 * not looked at the code or refresh token then.
 */
export async function withServerNonce(
  dpop: DpopProver | undefined,
  send: () => Promise<Answer>,
): Promise<Answer> {
  const answer = await send()
  if (!dpop) return answer
  const isNew = dpop.remember(answer.url, answer.headers)
  if (!isNew || answer.ok || (answer.members && stringMember(answer.members, 'error')) !== 'use_dpop_nonce')
    return answer
  const second = await send()
  dpop.remember(second.url, second.headers)
  return second
}

/** What a 401 of a protected resource says about the proof (RFC 9449 §7.1, §9), if it is the proof that it refuses. */
export function refusedProof(
  challenges: readonly Challenge[],
): 'use_dpop_nonce' | 'invalid_dpop_proof' | undefined {
  const errors = challenges
    .filter(({ scheme }) => scheme === 'dpop')
    .map(({ parameters }) => parameters.get('error'))
  return (['use_dpop_nonce', 'invalid_dpop_proof'] as const).find((error) => errors.includes(error))
}
