import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as oauth from 'oauth4webapi'
import { tokenMembers } from '../../src/flow/token-set.ts'
import type { AuthorizationRequest } from '../../src/oauth/authorization-request.ts'
import type { ClientInformation } from '../../src/oauth/client-authentication.ts'
import {
  processTokenAnswer,
  requestCodeExchange,
  requestRefresh,
  saysNothing,
} from '../../src/oauth/token-request.ts'
import type { Fetch } from '../../src/ports.ts'
import { rememberSent, secretsOf } from '../../src/sent-secrets.ts'
import { type AnswerInput, answerFromBytes, answers, responseOf } from './answer-input.ts'
import { brokenDocument, jsonObject, oneOf, stringLike } from './broken-json.ts'
import { broken, hostilePiece } from './broken-text.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { assertKeepsSecret, assertPlain, assertPrototypesClean, outcomeOf } from './invariants.ts'

export interface TokenAnswerInput {
  /** What was asked for: it says which secrets the server knows. */
  readonly request: 'refresh' | 'code'
  readonly provesKey: boolean
  readonly answer: AnswerInput
}

const SENT = {
  clientSecret: 'cl13nt-s3cr3t/QWERTYUIOP+asdfghjk',
  refreshToken: 'r3fr3sh.t0k3n_ZXCVBNM-qazwsxedc',
  code: 'c0d3~POIUYTREWQ0987654321',
  codeVerifier: 'v3r1f13r-MNBVCXZLKJHGFDSAPOIUYTREWQ_abcdefg',
  state: 'st4t3_ytrewq1234567890HJKL',
}
const BASIC = Buffer.from(`client:${encodeURIComponent(SENT.clientSecret)}`).toString('base64')
const ACCESS = '4cc3ss.t0k3n-zaq12wsxcde34rfv'

const ENDPOINT = { issuer: 'https://as.example.com', token_endpoint: 'https://as.example.com/token' }
const CLIENT: ClientInformation = {
  client_id: 'client',
  client_secret: SENT.clientSecret,
  token_endpoint_auth_method: 'client_secret_basic',
}
const REQUEST: AuthorizationRequest = {
  url: 'https://as.example.com/authorize',
  issuer: ENDPOINT.issuer,
  clientId: 'client',
  redirectUri: 'http://localhost:8080/callback',
  scope: undefined,
  resource: undefined,
  state: SENT.state,
  codeVerifier: SENT.codeVerifier,
}

const secret = fc.constantFrom(...Object.values(SENT), BASIC, ACCESS)
/** A server's words: now and then they repeat what it was told. */
const said = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('the grant is gone', 'redirect_uri does not match', 'AADSTS9010010: no'),
  },
  { weight: 2, arbitrary: fc.tuple(hostilePiece, secret, hostilePiece).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: broken(secret.map((text) => `${text} was sent`)) },
)
const errors = [
  'invalid_grant',
  'invalid_client',
  'invalid_request',
  'server_error',
  'access_denied',
  'slow_down',
]
const errorText = jsonObject({
  error: fc.oneof(
    stringLike(...errors),
    said.map((text) => JSON.stringify(text)),
  ),
  error_description: said.map((text) => JSON.stringify(text)),
  error_uri: said.map((text) => JSON.stringify(text)),
})
const TOKEN_MEMBERS = {
  access_token: stringLike(ACCESS),
  token_type: stringLike('bearer', 'Bearer', 'DPoP', 'user', '__proto__'),
  expires_in: oneOf(3600, '3600', 0, 1e15),
  refresh_token: stringLike('another-refresh-token'),
  scope: stringLike('files:read files:write', 'a,b'),
  id_token: stringLike('e30.e30.e30'),
}
const tokenText = jsonObject(TOKEN_MEMBERS)
const nestedText = jsonObject({ ok: oneOf(true, false), authed_user: jsonObject(TOKEN_MEMBERS) })
const formText = fc
  .array(fc.tuple(fc.constantFrom('access_token', 'error', 'error_description', 'scope', '__proto__'), said))
  .map((pairs) => new URLSearchParams(pairs.map(([name, text]) => [name, text])).toString())
const bodies = fc.oneof(
  { weight: 4, arbitrary: tokenText },
  { weight: 3, arbitrary: errorText },
  { weight: 1, arbitrary: nestedText },
  { weight: 1, arbitrary: formText },
)

const CONTENT_TYPES = [
  ...[
    'application/json',
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'text/html',
    '',
  ],
  ...[
    `text/${SENT.refreshToken}`,
    `text/plain; charset="${SENT.code}"`,
    'text/\u001b[8mhidden',
    'text/\u009b2J',
  ],
]

/** What a token endpoint answers, judged as a refresh and a code exchange do. */
export const tokenAnswerTarget: FuzzTarget<TokenAnswerInput> = {
  name: 'token-answer',
  inputs: fc.record({
    request: fc.constantFrom('refresh', 'code'),
    provesKey: fc.oneof(
      { weight: 4, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    answer: answers(brokenDocument(bodies), CONTENT_TYPES),
  }),
  fromBytes: (bytes) => ({
    request: (bytes[0] ?? 0) % 2 === 0 ? 'refresh' : 'code',
    provesKey: (bytes[0] ?? 0) > 200,
    answer: answerFromBytes(bytes.subarray(1), CONTENT_TYPES),
  }),

  async check({ request, provesKey, answer }) {
    const outcome = await outcomeOf(async () => {
      const judged = await ask(request, answer)
      assert.equal(typeof saysNothing(judged), 'boolean')
      return processTokenAnswer(judged, ENDPOINT, CLIENT, REQUEST.redirectUri, provesKey)
    }, ['response_invalid', 'network_failed', 'token_request_refused', 'redirect_uri_refused'])
    if ('error' in outcome) {
      const { message } = outcome.error
      const known = request === 'refresh' ? [SENT.refreshToken] : [SENT.code, SENT.codeVerifier, SENT.state]
      assertKeepsSecret(message, [...known, SENT.clientSecret, BASIC])
      assertKeepsSecret(JSON.stringify(outcome.error), [...known, SENT.clientSecret, BASIC])
    } else assertIsToken(outcome.value, provesKey)
    assertPrototypesClean()
  },
}

function ask(request: TokenAnswerInput['request'], answer: AnswerInput) {
  // As the network does it: what was sent is known with its answer.
  const fetch: Fetch = async (_url, init = {}) => rememberSent(responseOf(answer), secretsOf(init))
  const context = { fetch }
  if (request === 'refresh') {
    return requestRefresh(ENDPOINT, CLIENT, { refreshToken: SENT.refreshToken, resource: undefined }, context)
  }
  const callback = new URLSearchParams({ code: SENT.code, state: SENT.state })
  const parameters = oauth.validateAuthResponse(ENDPOINT, { client_id: 'client' }, callback, SENT.state)
  return requestCodeExchange(ENDPOINT, CLIENT, { parameters }, REQUEST, context)
}

const MEMBERS = ['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope']

function assertIsToken(token: Awaited<ReturnType<typeof processTokenAnswer>>, provesKey: boolean): void {
  assertPlain(token)
  assert.deepEqual(
    Object.keys(token).filter((name) => !MEMBERS.includes(name)),
    [],
  )
  assert.equal(token.token_type, provesKey ? 'dpop' : 'bearer')
  for (const text of [token.access_token, token.refresh_token ?? 'x']) assert.match(text, /^[\x20-\x7e]+$/)
  assert.ok(token.expires_in === undefined || (Number.isFinite(token.expires_in) && token.expires_in >= 0))
  assert.ok(token.scope === undefined || typeof token.scope === 'string')
  const { expires_at } = tokenMembers(token, Date.UTC(2100, 0))
  if (expires_at !== undefined) new Date(expires_at * 1000).toISOString()
  // A token can be put on a request.
  new Headers({ authorization: `Bearer ${token.access_token}` })
}
