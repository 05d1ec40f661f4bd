/** Scope as on the wire: one string, values separated by spaces (RFC 6749 §3.3). */

/** The values of a scope string, each once, in order. */
export function scopeValues(scope: string | undefined): string[] {
  return [...new Set((scope ?? '').split(/\s+/).filter(Boolean))]
}

/** The scope of a token answer: GitHub and Slack separate its values by commas. */
export function grantedScope(scope: string | undefined): string | undefined {
  return unionScope(scope?.replaceAll(',', ' '))
}

/** The union of several scope strings, or `undefined` when nothing is in it. */
export function unionScope(...scopes: (string | undefined)[]): string | undefined {
  const values = new Set(scopes.flatMap(scopeValues))
  return values.size === 0 ? undefined : [...values].join(' ')
}

export interface ScopeSources {
  configured: string | undefined
  challenge: string | undefined
  /** `scopes_supported` of the protected resource metadata. */
  resource: readonly string[] | undefined
  /** Whether the authorization server's own metadata lists `offline_access`, and nobody turned it off. */
  offlineAccess: boolean
}

/**
 * The scope of a first authorization request: configured, else challenged, else all the resource supports, else
 * none (MCP 2026-07-28 authorization, Scope Selection). `offline_access` is added where the server lists it.
 */
export function initialScope({
  configured,
  challenge,
  resource,
  offlineAccess,
}: ScopeSources): string | undefined {
  const scope = unionScope(configured) ?? unionScope(challenge) ?? unionScope(resource?.join(' '))
  return offlineAccess ? unionScope(scope, 'offline_access') : scope
}

/** The scope without `offline_access`, for the one retry after `invalid_scope`. */
export function withoutOfflineAccess(scope: string | undefined): string | undefined {
  return unionScope(
    scopeValues(scope)
      .filter((value) => value !== 'offline_access')
      .join(' '),
  )
}

/** Whether every value that is asked for is in `scope`. */
export function coversScope(scope: string | undefined, asked: string | undefined): boolean {
  const values = scopeValues(scope)
  return scopeValues(asked).every((value) => values.includes(value))
}
