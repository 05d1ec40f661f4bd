import type { TokenSet } from '../flow/token-set.ts'

type Lifetime = Pick<TokenSet, 'expires_at' | 'obtained_at'>

/** Whether less than min(60 s, 10 % of the lifetime) is left; `now` in seconds since 1970. */
export function needsRenewal({ expires_at, obtained_at }: Lifetime, now: number): boolean {
  if (expires_at === undefined) return false
  const margin = Math.min(60, 0.1 * (expires_at - obtained_at))
  return now >= expires_at - margin
}

/** Whether the token is past its end; without a known end it never is. `now` in seconds since 1970. */
export function isExpired({ expires_at }: Pick<Lifetime, 'expires_at'>, now: number): boolean {
  return expires_at !== undefined && now >= expires_at
}
