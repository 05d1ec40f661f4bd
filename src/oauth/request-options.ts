import * as oauth from 'oauth4webapi'
import type { Fetch } from '../ports.ts'
import type { DpopProver } from './dpop.ts'

/** What a protocol request needs besides its message. */
export interface RequestContext {
  /** Already judges URLs, limits time and size. */
  readonly fetch: Fetch
  readonly signal?: AbortSignal
  /** Whose proofs `fetch` puts on every try (RFC 9449); its tokens are bound to that key. */
  readonly dpop?: DpopProver
}

/** oauth4webapi's options: our fetch decides which URLs are allowed, so its own https rule is switched off. */
export function requestOptions({ fetch, signal }: RequestContext) {
  return {
    [oauth.customFetch]: (url: string, init: RequestInit) => fetch(url, init),
    [oauth.allowInsecureRequests]: true,
    ...(signal && { signal }),
  }
}
