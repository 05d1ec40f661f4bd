import { ResourceMismatchError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { isUrl, shownUrl } from '../errors/shown-url.ts'
import type { Fetch } from '../ports.ts'
import { type Answer, readMetadata, stringListMember, stringMember } from './answer.ts'
import { isIssuer, isPlainUrl } from './plain-url.ts'

/** Protected resource metadata (RFC 9728 §2), the members latchkey uses. */
export interface ResourceMetadata {
  /** Verbatim: this very string is sent as the RFC 8707 `resource`. */
  readonly resource: string
  /** Without what can be no issuer. */
  readonly authorization_servers: readonly string[]
  /** `undefined` also where the list was empty: an empty list says nothing. */
  readonly scopes_supported?: readonly string[]
  readonly resource_name?: string
}

/** Where the metadata of a resource may be (RFC 9728 §3.1): under the path first, then at the root. */
export function resourceMetadataUrls(serverUrl: string): string[] {
  const { origin, pathname } = new URL(serverUrl)
  const path = pathname.replace(/\/+$/, '')
  const root = `${origin}/.well-known/oauth-protected-resource`
  return path === '' ? [root] : [`${root}${path}`, root]
}

export async function requestResourceMetadata(
  fetch: Fetch,
  url: string,
  signal?: AbortSignal,
): Promise<Answer> {
  const response = await fetch(url, { headers: { accept: 'application/json' }, ...(signal && { signal }) })
  return readMetadata(response, url)
}

/** `undefined` when the answer is no such document. */
export function processResourceMetadata({ ok, members }: Answer): ResourceMetadata | undefined {
  const resource = members && stringMember(members, 'resource')
  if (!ok || !members || !resource || !isUrl(resource)) return undefined
  const scopes = stringListMember(members, 'scopes_supported')
  const name = stringMember(members, 'resource_name')
  return {
    resource,
    authorization_servers: (stringListMember(members, 'authorization_servers') ?? []).filter(isIssuer),
    ...(scopes?.length && { scopes_supported: scopes }),
    ...(name && { resource_name: name }),
  }
}

/**
 * The resource must be this server or a parent of it on the same origin (RFC 9728 §3.3, §7.3): a server may not
 * have tokens made out for somebody else.
 *
 * @throws `resource_mismatch`
 */
export function assertResourceCovers(resource: string, serverUrl: string): void {
  const claimed = new URL(resource)
  const server = new URL(serverUrl)
  const prefix = claimed.pathname.replace(/\/+$/, '')
  const path = server.pathname.replace(/\/+$/, '')
  const covers = claimed.origin === server.origin && (path === prefix || path.startsWith(`${prefix}/`))
  if (covers && isPlainUrl(resource)) return
  throw new ResourceMismatchError({
    message: `The metadata of ${shownUrl(serverUrl)} speaks for another resource: ${quoteServerText(resource)}.`,
    remedy:
      'A token for that resource is not for this server, so the sign-in was stopped. If the address you configured is wrong, set `url` to the resource it names; else tell the operator of the server.',
    server: shownUrl(serverUrl),
    resource,
  })
}
