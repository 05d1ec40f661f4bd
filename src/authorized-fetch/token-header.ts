import type { TokenSet } from '../flow/token-set.ts'
import { DpopProver } from '../oauth/dpop.ts'
import type { Clock, Fetch } from '../ports.ts'
import type { Attach } from './mcp-exchange.ts'

/** How the tokens of one login go onto requests: as bearer tokens, or each with a proof of its own (RFC 9449 §7). */
export class TokenHeader {
  readonly #clock: Clock
  #prover: DpopProver | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  attach(tokens: TokenSet | undefined): Attach {
    return async ({ url, headers, init }) => {
      const signed = new Headers(headers)
      signed.delete('authorization')
      const prover = this.#proverOf(tokens)
      if (tokens && prover) {
        const accessToken = tokens.access_token
        // As `fetch` will spell it.
        const { method } = new Request(url, { method: init.method ?? 'GET' })
        signed.set('authorization', `DPoP ${accessToken}`)
        signed.set('dpop', await prover.proof({ method, url, accessToken }))
      } else if (tokens) {
        signed.set('authorization', `Bearer ${tokens.access_token}`)
      }
      return { url, headers: signed, init }
    }
  }

  /** The same `fetch`, which keeps the nonces that the server hands out for the next proofs. */
  heeding(fetch: Fetch, tokens: TokenSet | undefined): Fetch {
    const prover = this.#proverOf(tokens)
    if (!prover) return fetch
    return async (input, init) => {
      const response = await fetch(input, init)
      prover.remember(input instanceof Request ? input.url : String(input), response.headers)
      return response
    }
  }

  /** A refresh keeps the key, and with it the nonces; a new sign-in has another one. */
  #proverOf(tokens: TokenSet | undefined): DpopProver | undefined {
    const key = tokens?.dpop_key
    if (!key) return undefined
    if (this.#prover?.key.d !== key.d) this.#prover = new DpopProver(key, this.#clock)
    return this.#prover
  }
}
