import type { HttpServerDefinition, RequestSigner } from '../definitions.ts'
import { ConfigInvalidError, CredentialRefusedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { challengeOf } from '../oauth/challenge.ts'
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
    throw refused(definition, challengeOf(response).scheme)
  }
}

function attachStatic({ name, auth }: HttpServerDefinition): Attach {
  switch (auth.method) {
    case 'bearer':
      return async (request) => {
        request.headers.set('authorization', `Bearer ${auth.token}`)
        return request
      }
    case 'custom':
      return ({ url, headers, init }) => signedBy(auth.sign, new Request(url, { ...init, headers }), name)
    default:
      return async (request) => request
  }
}

/** The program's own code: what goes wrong in it must not look like a fault of the server. */
async function signedBy(sign: RequestSigner, request: Request, server: string): Promise<Request> {
  const problem = (what: string, cause?: unknown) =>
    new ConfigInvalidError({
      message: `The custom authentication of ${server} ${what}.`,
      remedy: 'It is the function under `auth`: it gets a Request and has to return the Request to send.',
      key: 'auth',
      cause,
    })
  let signed: unknown
  try {
    signed = await sign(request)
  } catch (error) {
    throw problem('failed', error)
  }
  if (signed instanceof Request) return signed
  throw problem(`returned ${signed === null ? 'null' : typeof signed} instead of a Request`)
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
