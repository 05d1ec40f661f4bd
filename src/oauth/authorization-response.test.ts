import { describe, expect, test } from 'vitest'
import type { LatchkeyError } from '../errors/index.ts'
import type { AuthorizationRequest } from './authorization-request.ts'
import { processAuthorizationResponse } from './authorization-response.ts'

const ISSUER = 'https://as.example'
const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
}
const ADVERTISED = { ...METADATA, authorization_response_iss_parameter_supported: true }
const REQUEST: AuthorizationRequest = {
  clientId: 'app',
  redirectUri: 'http://localhost:8080/callback',
  scope: undefined,
  resource: undefined,
  url: `${ISSUER}/authorize`,
  state: 'our-state',
  codeVerifier: 'verifier',
  issuer: ISSUER,
}

function judge(query: string, metadata: typeof METADATA = METADATA) {
  return processAuthorizationResponse(new URLSearchParams(query), REQUEST, metadata)
}

function failureOf(
  query: string,
  metadata: typeof METADATA = METADATA,
): LatchkeyError & Record<string, unknown> {
  try {
    judge(query, metadata)
  } catch (error) {
    return error as LatchkeyError & Record<string, unknown>
  }
  throw new Error('expected a refusal')
}

describe('a good answer', () => {
  test.each([
    ['[ISS-04] neither advertised nor sent iss', METADATA, 'code=c&state=our-state'],
    [
      '[ISS-04] advertised and right iss',
      ADVERTISED,
      `code=c&state=our-state&iss=${encodeURIComponent(ISSUER)}`,
    ],
    [
      '[ISS-04] unadvertised but right iss',
      METADATA,
      `code=c&state=our-state&iss=${encodeURIComponent(ISSUER)}`,
    ],
    [
      'parameters of other specifications',
      METADATA,
      'code=c&state=our-state&session_state=x&id_token=y&response=z',
    ],
  ])('with %s', (_what, metadata, query) => {
    expect(judge(query, metadata).parameters.get('code')).toBe('c')
  })
})

describe('an answer that is not ours', () => {
  test.each([
    ['[STATE-02] no state', 'code=c', 'state'],
    ['[STATE-02] another state', 'code=c&state=x', 'state'],
    ['[STATE-02] an error without our state', 'error=access_denied', 'state'],
    ['two codes', 'code=c&code=d&state=our-state', 'code'],
    ['two states', 'code=c&state=our-state&state=our-state', 'state'],
    ['neither code nor error', 'state=our-state', 'code'],
    ['an empty code', 'code=&state=our-state', 'code'],
  ])('%s', (_what, query, parameter) => {
    expect(failureOf(query)).toMatchObject({ code: 'authorization_response_invalid', parameter })
  })

  test.each([
    ['of another server', 'https://evil.example'],
    ['[ISS-05] with a slash more', `${ISSUER}/`],
    ['[ISS-05] with the default port', `${ISSUER}:443`],
    ['[ISS-05] in another case', 'https://AS.example'],
    ['that is empty', ''],
  ])('[ISS-02] an iss %s, advertised or not', (_what, iss) => {
    const query = `code=c&state=our-state&iss=${encodeURIComponent(iss)}`
    for (const metadata of [METADATA, ADVERTISED]) {
      expect(failureOf(query, metadata)).toMatchObject({
        code: 'issuer_mismatch',
        expected: ISSUER,
        actual: iss,
      })
    }
  })

  test('[ISS-03] no iss although it is advertised', () => {
    expect(failureOf('code=c&state=our-state', ADVERTISED)).toMatchObject({
      code: 'issuer_mismatch',
      actual: undefined,
    })
  })

  test('[ISS-06] nothing of an error is shown when its iss is wrong', () => {
    const query = 'error=access_denied&error_description=visit+evil.example&state=our-state&iss=https://evil'
    const error = failureOf(query)
    expect(error.code).toBe('issuer_mismatch')
    expect(error.message).not.toMatch(/access_denied|visit/)
  })
})

describe('a refusal', () => {
  test('by the person', () => {
    expect(failureOf('error=access_denied&error_description=no&state=our-state')).toMatchObject({
      code: 'authorization_refused',
      error: 'access_denied',
      summary: 'The sign-in at as.example was declined: "no".',
    })
  })

  test.each([
    ['error=redirect_uri_mismatch'],
    ['error=invalid_redirect_uri'],
    ['error=invalid_request&error_description=The+redirect_uri+is+not+registered'],
    ['error=invalid_request&error_description=AADSTS50011%3A+no+match'],
  ])('of the redirect URI names it and the three ways out: %s', (query) => {
    const error = failureOf(`${query}&state=our-state`)
    expect(error).toMatchObject({
      code: 'redirect_uri_refused',
      redirectUri: 'http://localhost:8080/callback',
    })
    expect(error.remedy).toContain(
      'register exactly this redirect URI at as.example: http://localhost:8080/callback\n',
    )
    expect(error.remedy).toContain('remove `client_id`')
    expect(error.remedy).toContain('`callback_port` (now 8080)')
  })

  test.each([
    ['error=invalid_target', '`auth.resource`'],
    ['error=invalid_request&error_description=AADSTS9010010%3A+resource+and+scope', '`auth.resource`'],
    ['error=invalid_scope', '`auth.scope`'],
    ['error=unauthorized_client', '`client_id`'],
    ['error=constructor', '--debug'],
  ])('%s names %s', (query, setting) => {
    const error = failureOf(`${query}&state=our-state`)
    expect(error.code).toBe('authorization_refused')
    expect(error.remedy).toContain(setting)
  })

  test('cannot act on a terminal', () => {
    const error = failureOf('error=x%1b%5b2J&error_description=a%0d%0ab%1b%5d8%3b%3b&state=our-state')
    expect(`${error.message}${error.error}`).not.toMatch(/[\u001b\r]/)
  })
})
