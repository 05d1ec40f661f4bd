import type { HttpServerDefinition } from '../definitions.ts'
import { CredentialRefusedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { parseChallenges } from '../oauth/challenge.ts'
import type { Fetch } from '../ports.ts'
import { type Attach, sendToServer } from './mcp-exchange.ts'
import type { Send } from './sendable.ts'

/** Sends with a credential of the configuration (or none). A 401 is the end: no OAuth is started beside it. */
export function createStaticSend(definition: HttpServerDefinition, fetch: Fetch): Send {
  const attach = attachStatic(definition)
  return async (request) => {
    const response = await sendToServer(request, attach, fetch)
    if (response.status !== 401) return response
    await response.body?.cancel()
    throw refused(definition, parseChallenges(response.headers.get('www-authenticate'))[0]?.scheme)
  }
}

function attachStatic({ auth }: HttpServerDefinition): Attach {
  switch (auth.method) {
    case 'bearer':
      return async (request) => {
        request.headers.set('authorization', `Bearer ${auth.token}`)
        return request
      }
    case 'custom':
      return async ({ url, headers, init }) => auth.sign(new Request(url, { ...init, headers }))
    default:
      return async (request) => request
  }
}

const REMEDIES = {
  bearer:
    'Check the token under `auth` (expired, revoked, of another server?), or remove `auth` to sign in with OAuth.',
  custom: 'Check what the custom authentication under `auth` sends, or remove `auth` to sign in with OAuth.',
  headers: 'Check the `Authorization` under `headers`, or remove it to sign in with OAuth.',
  none: 'It wants authentication, but `auth` is false. Remove `auth: false` to sign in with OAuth, or set a token.',
}

function refused({ name, auth }: HttpServerDefinition, scheme: string | undefined): CredentialRefusedError {
  const method = auth.method === 'oauth' ? 'none' : auth.method
  const asked = scheme ? ` It asks for the scheme ${quoteServerText(scheme, 40)}.` : ''
  return new CredentialRefusedError({
    message:
      method === 'none'
        ? `${name} refused a request without a credential (HTTP 401).${asked}`
        : `${name} refused the configured credential (${method}, HTTP 401).${asked}`,
    remedy: REMEDIES[method],
    server: name,
    status: 401,
    scheme,
  })
}
