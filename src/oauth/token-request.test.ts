import { describe, expect, test } from 'vitest'
import { isLatchkeyError, type LatchkeyError } from '../errors/index.ts'
import { createAuthorizationRequest } from './authorization-request.ts'
import { processAuthorizationResponse } from './authorization-response.ts'
import type { ClientInformation } from './client-authentication.ts'
import { processTokenAnswer, requestCodeExchange, requestRefresh } from './token-request.ts'

const ISSUER = 'https://as.example'
const ENDPOINT = { issuer: ISSUER, token_endpoint: `${ISSUER}/token` }
const METADATA = { ...ENDPOINT, authorization_endpoint: `${ISSUER}/authorize` }
const PUBLIC: ClientInformation = { client_id: 'app', token_endpoint_auth_method: 'none' }
const REDIRECT_URI = 'http://localhost:8080/callback'

interface Reply {
  body: object | string
  status?: number
  type?: string
  headers?: Record<string, string>
}

function replies({ body, status = 200, type = 'application/json', headers = {} }: Reply) {
  const sent: Request[] = []
  const fetch = async (url: string | URL | Request, init?: RequestInit) => {
    sent.push(new Request(url, init))
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return new Response(text, { status, headers: { 'content-type': type, ...headers } })
  }
  return { sent, fetch }
}

/** Refreshes at a token endpoint that gives this reply, and judges it. */
async function refreshAt(reply: Reply) {
  const parameters = { refreshToken: 'rt', resource: undefined }
  const answer = await requestRefresh(ENDPOINT, PUBLIC, parameters, { fetch: replies(reply).fetch })
  return processTokenAnswer(answer, ENDPOINT, PUBLIC, REDIRECT_URI)
}

async function failureAt(reply: Reply): Promise<LatchkeyError & Record<string, unknown>> {
  const error = await refreshAt(reply).then(
    () => new Error('expected a failure'),
    (reason: unknown) => reason,
  )
  if (!isLatchkeyError(error)) throw error
  return error as LatchkeyError & Record<string, unknown>
}

describe('the requests', () => {
  test('[PKCE-02] a code exchange has verifier, redirect URI and resource, and asks for JSON', async () => {
    const request = await createAuthorizationRequest(METADATA, {
      clientId: 'app',
      redirectUri: REDIRECT_URI,
      scope: undefined,
      resource: 'https://mcp.example/mcp',
    })
    const response = processAuthorizationResponse(
      new URLSearchParams({ code: 'the-code', state: request.state }),
      request,
      METADATA,
    )
    const { sent, fetch } = replies({ body: { access_token: 'at' } })
    await requestCodeExchange(ENDPOINT, PUBLIC, response, request, { fetch })
    expect(sent).toHaveLength(1)
    expect(sent[0]?.headers.get('accept')).toBe('application/json')
    expect(Object.fromEntries(new URLSearchParams(await sent[0]?.text()))).toEqual({
      grant_type: 'authorization_code',
      code: 'the-code',
      redirect_uri: REDIRECT_URI,
      code_verifier: request.codeVerifier,
      client_id: 'app',
      resource: 'https://mcp.example/mcp',
    })
  })

  test.each<[ClientInformation, object, string | null]>([
    [PUBLIC, { client_id: 'app' }, null],
    [
      { client_id: 'app', client_secret: 's', token_endpoint_auth_method: 'client_secret_post' },
      { client_id: 'app', client_secret: 's' },
      null,
    ],
    [
      { client_id: 'app', client_secret: 's', token_endpoint_auth_method: 'client_secret_basic' },
      {},
      `Basic ${btoa('app:s')}`,
    ],
  ])(
    '[RES-02] a refresh has resource and the proof of the client',
    async (client, members, authorization) => {
      const { sent, fetch } = replies({ body: { access_token: 'at' } })
      await requestRefresh(
        ENDPOINT,
        client,
        { refreshToken: 'rt', resource: 'https://mcp.example' },
        { fetch },
      )
      expect(sent[0]?.headers.get('accept')).toBe('application/json')
      expect(sent[0]?.headers.get('authorization')).toBe(authorization)
      expect(Object.fromEntries(new URLSearchParams(await sent[0]?.text()))).toEqual({
        grant_type: 'refresh_token',
        refresh_token: 'rt',
        resource: 'https://mcp.example',
        ...members,
      })
    },
  )

  test('no resource where it is turned off', async () => {
    const { sent, fetch } = replies({ body: { access_token: 'at' } })
    await requestRefresh(ENDPOINT, PUBLIC, { refreshToken: 'rt', resource: undefined }, { fetch })
    expect(await sent[0]?.text()).not.toContain('resource')
  })
})

describe('a token and the proof that was sent for it', () => {
  const judge = async (token_type: string, provesKey: boolean) => {
    const { fetch } = replies({ body: { access_token: 'canary-secret', token_type } })
    const answer = await requestRefresh(
      ENDPOINT,
      PUBLIC,
      { refreshToken: 'rt', resource: undefined },
      { fetch },
    )
    return processTokenAnswer(answer, ENDPOINT, PUBLIC, REDIRECT_URI, provesKey)
  }

  test.each(['DPoP', 'dpop', 'DPOP'])('%s is bound, in any case', async (token_type) => {
    expect(await judge(token_type, true)).toEqual({ access_token: 'canary-secret', token_type: 'dpop' })
  })

  test.each([
    ['a bearer token for a proof', 'Bearer', true, 'remove `auth.dpop`'],
    ['a token of some other type for a proof', 'user', true, 'remove `auth.dpop`'],
    ['a bound token for no proof', 'DPoP', false, 'Set `auth.dpop` to true'],
  ])('[DPOP-04] %s is refused', async (_, token_type, provesKey, remedy) => {
    const error = await judge(token_type, provesKey).catch((reason: Error) => reason)
    expect(error).toMatchObject({ code: 'response_invalid', remedy: expect.stringContaining(remedy) })
    expect(JSON.stringify([error, (error as Error).message])).not.toContain('canary')
  })
})

describe('a token, however it is said', () => {
  const bearer = { access_token: 'at', token_type: 'bearer' }

  test.each<[string, Reply, object]>([
    [
      'by the book',
      { body: { ...bearer, expires_in: 60, refresh_token: 'rt', scope: 'a b' } },
      { ...bearer, expires_in: 60, refresh_token: 'rt', scope: 'a b' },
    ],
    [
      'null members',
      { body: { ...bearer, refresh_token: null, scope: null, expires_in: null, id_token: null } },
      bearer,
    ],
    ['empty members', { body: { ...bearer, refresh_token: '', scope: '', expires_in: '' } }, bearer],
    ['a missing token_type', { body: { access_token: 'at' } }, bearer],
    ['[TOKEN-01] token_type in any case', { body: { ...bearer, token_type: 'BEARER' } }, bearer],
    ['a token_type of its own (Slack)', { body: { ...bearer, token_type: 'user' } }, bearer],
    ['a prototype name as token_type', { body: { ...bearer, token_type: '__proto__' } }, bearer],
    [
      'a lifetime as a string (Entra ID)',
      { body: { ...bearer, expires_in: '3599' } },
      { ...bearer, expires_in: 3599 },
    ],
    ['a negative lifetime', { body: { ...bearer, expires_in: -1 } }, bearer],
    ['a lifetime that is no number', { body: { ...bearer, expires_in: 'abc' } }, bearer],
    ['an endless lifetime', { body: '{"access_token":"at","expires_in":1e400}' }, bearer],
    [
      'a form (GitHub)',
      {
        body: 'access_token=at&scope=repo%2Cread%3Auser&token_type=bearer',
        type: 'application/x-www-form-urlencoded; charset=utf-8',
      },
      { ...bearer, scope: 'repo read:user' },
    ],
    ['JSON typed as text', { body: { ...bearer }, type: 'text/html' }, bearer],
    ['HTTP 201', { body: { ...bearer }, status: 201 }, bearer],
    ['an id_token of any quality', { body: { ...bearer, id_token: 'eyJhbGciOiJub25lIn0.e30.' } }, bearer],
    ['an id_token that is no JWT', { body: { ...bearer, id_token: 'garbage' } }, bearer],
    ['[TOKEN-02] members nobody asked for', { body: { ...bearer, ok: true, team: { id: 1 } } }, bearer],
  ])('%s', async (_what, reply, expected) => {
    expect(await refreshAt(reply)).toEqual(expected)
  })
})

describe('an error, wherever it stands', () => {
  test.each<[string, Reply, string, number]>([
    ['400 by the book', { body: { error: 'invalid_grant' }, status: 400 }, 'invalid_grant', 400],
    [
      'HTTP 200 (GitHub)',
      { body: { error: 'bad_verification_code', error_description: 'expired' } },
      'bad_verification_code',
      200,
    ],
    [
      'HTTP 200 as a form (GitHub)',
      {
        body: 'error=incorrect_client_credentials&error_description=The+client',
        type: 'application/x-www-form-urlencoded',
      },
      'incorrect_client_credentials',
      200,
    ],
    ['HTTP 200 with ok: false (Slack)', { body: { ok: false, error: 'invalid_code' } }, 'invalid_code', 200],
    [
      '401 beside a challenge',
      { body: { error: 'invalid_client' }, status: 401, headers: { 'www-authenticate': 'Basic realm="as"' } },
      'invalid_client',
      401,
    ],
    [
      '400 typed as HTML',
      { body: { error: 'invalid_grant' }, status: 400, type: 'text/html' },
      'invalid_grant',
      400,
    ],
    [
      'null description',
      { body: { error: 'invalid_grant', error_description: null }, status: 400 },
      'invalid_grant',
      400,
    ],
    ['500 with a final error', { body: { error: 'invalid_grant' }, status: 500 }, 'invalid_grant', 500],
    ['a token beside it', { body: { error: 'invalid_scope', access_token: 'at' } }, 'invalid_scope', 200],
  ])('[TOKEN-03] %s', async (_what, reply, error, status) => {
    expect(await failureAt(reply)).toMatchObject({
      code: 'token_request_refused',
      error,
      status,
      issuer: ISSUER,
    })
  })

  test.each([
    ['invalid_client', /`client_id` and `client_secret`/],
    ['incorrect_client_credentials', /`client_id` and `client_secret`/],
    ['bad_verification_code', /Sign in again/],
    ['invalid_target', /`auth.resource`/],
    ['invalid_scope', /`auth.scope`/],
    ['toString', /Sign in again/],
  ])('%s has a remedy', async (error, remedy) => {
    expect((await failureAt({ body: { error }, status: 400 })).remedy).toMatch(remedy)
  })

  test('of Entra ID about resource names the setting', async () => {
    const body = { error: 'invalid_request', error_description: 'AADSTS901002: resource is not supported' }
    expect((await failureAt({ body, status: 400 })).remedy).toMatch(/`auth.resource`.*"off"/)
  })

  test('redirect_uri_mismatch names the redirect URI', async () => {
    expect(await failureAt({ body: { error: 'redirect_uri_mismatch' } })).toMatchObject({
      code: 'redirect_uri_refused',
      redirectUri: REDIRECT_URI,
    })
  })
})

describe('not now is not never', () => {
  test.each<[string, Reply]>([
    ['500 of a framework', { body: { error: 'Internal Server Error' }, status: 500 }],
    ['502 HTML', { body: '<html>Bad Gateway', status: 502, type: 'text/html' }],
    ['503 without a body', { body: '', status: 503 }],
    ['429 with its own word', { body: { error: 'rate_limited' }, status: 429 }],
    ['temporarily_unavailable', { body: { error: 'temporarily_unavailable' }, status: 400 }],
    ['server_error', { body: { error: 'server_error' }, status: 500 }],
  ])('%s', async (_what, reply) => {
    expect(await failureAt(reply)).toMatchObject({ code: 'network_failed', url: ENDPOINT.token_endpoint })
  })
})

describe('neither a token nor an error', () => {
  test.each<[string, Reply, number]>([
    ['HTML with 200', { body: '<!doctype html>', type: 'text/html' }, 200],
    ['HTML with 403', { body: '<!doctype html>', status: 403, type: 'text/html' }, 403],
    ['an empty 400', { body: '', status: 400 }, 400],
    ['a redirect', { body: '', status: 302, headers: { location: 'https://login.example' } }, 302],
    ['JSON without a token', { body: { token_type: 'bearer' } }, 200],
    ['a token that is no string', { body: { access_token: { a: 1 } } }, 200],
    ['an error that is no string', { body: { error: { code: 400, message: 'x' } }, status: 400 }, 400],
  ])('%s', async (_what, reply, status) => {
    const error = await failureAt(reply)
    expect(error).toMatchObject({ code: 'response_invalid', status, url: ENDPOINT.token_endpoint })
    expect(error.message).toContain(`HTTP ${status}`)
  })

  test('says nothing of what the answer held', async () => {
    const error = await failureAt({ body: { accesstoken: 'canary-secret' } })
    expect(JSON.stringify([error.message, error])).not.toContain('canary')
  })
})
