import { isEcho } from '../echo.ts'
import { isUrl } from '../errors/shown-url.ts'
import type { Fetch } from '../ports.ts'
import { sentSecrets } from '../sent-secrets.ts'
import type { Sendable } from './sendable.ts'

const MAX_REDIRECTS = 5

/** Puts the credential on a request. Called again for every hop. */
export type Attach = (request: Sendable) => Promise<Request | Sendable>

/**
 * Sends one request to the MCP server. Redirects are followed only within the origin, each hop signed anew: no
 * credential, header or body ever crosses origins.
 *
 * @throws `network_failed` when no answer came
 */
export async function sendToServer(request: Sendable, attach: Attach, fetch: Fetch): Promise<Response> {
  let { url } = request
  for (let hop = 0; ; hop += 1) {
    const signed = await attach({ ...request, url })
    const response = await (signed instanceof Request
      ? fetch(signed)
      : fetch(signed.url, { ...signed.init, headers: signed.headers }))
    const target = redirectTarget(response, url, request.init)
    if (target === undefined || hop === MAX_REDIRECTS) return response
    await response.body?.cancel()
    url = target
  }
}

/** A hop on the same origin that keeps the method, where the caller did not ask to see redirects itself. */
function redirectTarget(
  response: Response,
  url: string,
  { redirect, method = 'GET' }: RequestInit,
): string | undefined {
  const location = response.headers.get('location')
  if (location === null || (redirect !== undefined && redirect !== 'follow')) return undefined
  const keepsMethod = response.status === 307 || response.status === 308
  const isRead = ['GET', 'HEAD'].includes(method) && [301, 302, 303].includes(response.status)
  if (!keepsMethod && !isRead) return undefined
  if (!isUrl(location, url)) return undefined
  const target = new URL(location, url)
  // A credential in an address ends in the logs of everybody on the way.
  if (isEcho(target.href, sentSecrets(response).credentials)) return undefined
  return target.origin === new URL(url).origin ? target.href : undefined
}
