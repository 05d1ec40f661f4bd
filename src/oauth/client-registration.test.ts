import { describe, expect, test } from 'vitest'
import { NetworkFailedError, RegistrationRefusedError } from '../errors/index.ts'
import { processRegistration, type RegistrationRequest, requestRegistration } from './client-registration.ts'

const METADATA = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
  registration_endpoint: 'https://as.example/register',
}
const ASKED: RegistrationRequest = {
  clientName: 'my program',
  redirectUri: 'http://localhost:8080/callback',
  scope: 'a b',
}

/** Registers at a server that gives this answer; returns what was sent as well. */
async function register(
  body: object | string,
  { status = 201, type = 'application/json', metadata = {} as object, asked = ASKED } = {},
) {
  const sent: { url: string; init: RequestInit }[] = []
  const answer = await requestRegistration({ ...METADATA, ...metadata }, asked, {
    fetch: async (url, init = {}) => {
      sent.push({ url: String(url), init })
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      return new Response(text, { status, headers: { 'content-type': type } })
    },
  })
  return { sent, answer, client: () => processRegistration(answer, METADATA, asked) }
}

function refusalOf(act: () => unknown): RegistrationRefusedError {
  try {
    act()
  } catch (error) {
    if (error instanceof RegistrationRefusedError) return error
    throw error
  }
  throw new Error('expected a refusal')
}

describe('the request', () => {
  test('[REG-05] [REG-06] [REG-07] [REF-03] asks for a native public client', async () => {
    const { sent } = await register({ client_id: 'x' })
    expect(sent).toHaveLength(1)
    expect(sent[0]?.url).toBe(METADATA.registration_endpoint)
    expect(JSON.parse(String(sent[0]?.init.body))).toEqual({
      client_name: 'my program',
      redirect_uris: ['http://localhost:8080/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      scope: 'a b',
    })
  })

  test('leaves out a scope nobody named, and asks for a secret where none is not offered', async () => {
    const { sent } = await register(
      { client_id: 'x' },
      {
        asked: { ...ASKED, scope: undefined },
        metadata: { token_endpoint_auth_methods_supported: ['client_secret_basic'] },
      },
    )
    const body = JSON.parse(String(sent[0]?.init.body))
    expect(body).not.toHaveProperty('scope')
    expect(body.token_endpoint_auth_method).toBe('client_secret_basic')
  })
})

describe('the answer', () => {
  test.each<[string, object, number, object]>([
    ['201', { client_id: 'x' }, 201, { client_id: 'x', token_endpoint_auth_method: 'none' }],
    ['200 instead of 201', { client_id: 'x' }, 200, { client_id: 'x', token_endpoint_auth_method: 'none' }],
    [
      'null and empty members',
      { client_id: 'x', client_secret: null, client_secret_expires_at: null, logo_uri: null, scope: '' },
      201,
      { client_id: 'x', token_endpoint_auth_method: 'none' },
    ],
    [
      'an empty secret',
      { client_id: 'x', client_secret: '', token_endpoint_auth_method: 'client_secret_basic' },
      201,
      { client_id: 'x', token_endpoint_auth_method: 'none' },
    ],
    [
      'a secret without expiry, unasked',
      { client_id: 'x', client_secret: 's' },
      201,
      { client_id: 'x', client_secret: 's', token_endpoint_auth_method: 'client_secret_basic' },
    ],
    [
      'numbers as strings, a number as id',
      {
        client_id: 17,
        client_secret: 's',
        client_secret_expires_at: '1800000000',
        client_id_issued_at: '17',
      },
      201,
      {
        client_id: '17',
        client_secret: 's',
        client_secret_expires_at: 1_800_000_000,
        client_id_issued_at: 17,
        token_endpoint_auth_method: 'client_secret_basic',
      },
    ],
    [
      'an expiry of "0", which means never',
      {
        client_id: 'x',
        client_secret: 's',
        client_secret_expires_at: '0',
        token_endpoint_auth_method: 'client_secret_post',
      },
      201,
      { client_id: 'x', client_secret: 's', token_endpoint_auth_method: 'client_secret_post' },
    ],
  ])('%s', async (_what, body, status, expected) => {
    expect((await register(body, { status })).client()).toEqual(expected)
  })

  test('[REG-09] a plain 403 names host, redirect URI and the keys to set', async () => {
    const { client } = await register('Forbidden', { status: 403, type: 'text/plain' })
    const error = refusalOf(client)
    expect(error).toMatchObject({ status: 403, error: undefined, redirectUri: ASKED.redirectUri })
    expect(error.message).toContain('as.example refused to register a client (HTTP 403)')
    expect(error.remedy).toContain(ASKED.redirectUri)
    expect(error.remedy).toContain('`auth.client_id`')
  })

  test('[REG-09] invalid_redirect_uri names the settings that change it', async () => {
    const { client } = await register(
      { error: 'invalid_redirect_uri', error_description: 'no loopback here' },
      { status: 400 },
    )
    const error = refusalOf(client)
    expect(error).toMatchObject({ error: 'invalid_redirect_uri', redirectUri: ASKED.redirectUri })
    expect(error.remedy).toMatch(/http:\/\/localhost:8080\/callback\n.*`redirect_uri` or `callback_port`/)
  })

  test('an error with HTTP 200 is an error', async () => {
    const { client } = await register({ error: 'invalid_client_metadata' }, { status: 200 })
    expect(refusalOf(client)).toMatchObject({ status: 200, error: 'invalid_client_metadata' })
  })

  test('what the server says cannot act on a terminal', async () => {
    const { client } = await register(
      { error: 'bad\u001b[2J', error_description: 'a\nb\u202e' },
      { status: 400 },
    )
    const error = refusalOf(client)
    expect(error.message).not.toMatch(/[\u001b\u202e]/)
    expect(error.error).toBe('bad [2J')
  })

  test.each([
    { client_id: 'x', client_secret: 'abcdefgh\ud800', token_endpoint_auth_method: 'client_secret_basic' },
    { client_id: 'x\udc00', client_secret: 'abcdefgh' },
    { client_id: 'x', client_secret: 'abc\r\nX-Header: y' },
  ])('what no request could carry is no client: %j', async (body) => {
    expect((await register(body)).client).toThrow(
      expect.objectContaining({ code: 'response_invalid', url: METADATA.registration_endpoint }),
    )
  })

  test('an answer without client_id is no client', async () => {
    expect(refusalOf((await register({ client_id: '' })).client).status).toBe(201)
  })

  test.each([500, 502, 429])('HTTP %i is a network failure', async (status) => {
    const { client } = await register('<html>', { status, type: 'text/html' })
    expect(client).toThrow(NetworkFailedError)
  })
})
