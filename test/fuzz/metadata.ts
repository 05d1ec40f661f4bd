import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  assertResourceCovers,
  processResourceMetadata,
  requestResourceMetadata,
} from '../../src/oauth/resource-metadata.ts'
import {
  assertPkceSupported,
  processServerMetadata,
  requestServerMetadata,
  type ServerMetadata,
} from '../../src/oauth/server-metadata.ts'
import { type AnswerInput, answerFromBytes, answers, responseOf } from './answer-input.ts'
import { brokenDocument, jsonObject, listOf, oneOf, stringLike } from './broken-json.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { assertPlain, assertPrototypesClean, outcomeOf } from './invariants.ts'

export interface MetadataInput {
  readonly of: 'resource' | 'server'
  readonly answer: AnswerInput
}

const SERVER = 'https://mcp.example.com/a/mcp'
const ISSUER = 'https://as.example.com/tenant'
const ADDRESS = { resource: `${SERVER}/.well-known`, server: `${ISSUER}/.well-known` }
const CONTENT_TYPES = ['application/json', 'application/json; charset=utf-8', 'text/html', 'text/plain', '']

const url = stringLike(
  'https://as.example.com/authorize',
  'https://as.example.com/token?x=1#y',
  'http://127.0.0.1:8080/',
  'javascript:alert(1)',
  'https://[::1',
)
const words = listOf(stringLike('S256', 'plain', 'none', 'client_secret_basic', 'files:read'))
const resourceText = jsonObject({
  resource: stringLike(
    SERVER,
    'https://mcp.example.com',
    'https://mcp.example.com/',
    'https://mcp.example.com/a',
  ),
  authorization_servers: listOf(
    stringLike(ISSUER, 'https://other.example.com', 'https://as.example.com@other.example.com/?a#b'),
  ),
  scopes_supported: words,
  resource_name: stringLike('Files'),
  bearer_methods_supported: words,
})
const serverText = jsonObject({
  issuer: oneOf(ISSUER, ISSUER, ISSUER, ISSUER, `${ISSUER}/`, 'https://AS.example.com/tenant'),
  authorization_endpoint: url,
  token_endpoint: url,
  registration_endpoint: url,
  revocation_endpoint: url,
  jwks_uri: url,
  code_challenge_methods_supported: words,
  scopes_supported: words,
  token_endpoint_auth_methods_supported: words,
  authorization_response_iss_parameter_supported: oneOf(true, false),
  mtls_endpoint_aliases: oneOf({ token_endpoint: 'https://mtls.example.com/token' }),
})

/** What a resource and an authorization server say of themselves, as the product reads it. */
export const metadataTarget: FuzzTarget<MetadataInput> = {
  name: 'metadata',
  inputs: fc.oneof(
    fc.record({
      of: fc.constant('resource' as const),
      answer: answers(brokenDocument(resourceText), CONTENT_TYPES),
    }),
    fc.record({
      of: fc.constant('server' as const),
      answer: answers(brokenDocument(serverText), CONTENT_TYPES),
    }),
  ),
  fromBytes: (bytes) => ({
    of: (bytes[0] ?? 0) % 2 === 0 ? 'resource' : 'server',
    answer: answerFromBytes(bytes.subarray(1), CONTENT_TYPES),
  }),

  async check({ of, answer }) {
    const fetch = async (): Promise<Response> => responseOf(answer)
    await (of === 'resource' ? checkResource(fetch) : checkServer(fetch))
    assertPrototypesClean()
  },
}

const ANSWER_CODES = ['response_invalid', 'network_failed'] as const

async function checkResource(fetch: () => Promise<Response>): Promise<void> {
  const read = await outcomeOf(
    async () => processResourceMetadata(await requestResourceMetadata(fetch, ADDRESS.resource)),
    ANSWER_CODES,
  )
  if ('error' in read || read.value === undefined) return
  const { resource, authorization_servers, scopes_supported, resource_name } = read.value
  assertPlain(read.value)
  assert.ok([resource, ...authorization_servers].every((text) => URL.canParse(text)))
  assert.ok(!authorization_servers.some(isAmbiguous), 'an issuer that reads like somebody else')
  assert.ok((scopes_supported ?? ['']).every((scope) => typeof scope === 'string'))
  assert.ok(resource_name === undefined || typeof resource_name === 'string')
  const judged = await outcomeOf(() => assertResourceCovers(resource, SERVER), ['resource_mismatch'])
  const { origin, pathname } = new URL(resource)
  const isOurs = origin === 'https://mcp.example.com' && '/a/mcp/'.startsWith(pathname.replace(/\/*$/, '/'))
  assert.ok('error' in judged || isOurs, 'a resource of somebody else')
  assert.ok('error' in judged || !isAmbiguous(resource), 'a resource that reads like somebody else')
}

/** By its letters alone, as whoever shows or stores it has them. */
function isAmbiguous(text: string): boolean {
  const [, authority] = /^https?:\/\/([^/?#]*)/i.exec(text) ?? []
  return authority === undefined || authority.includes('@') || /[\s\\#]/.test(text)
}

async function checkServer(fetch: () => Promise<Response>): Promise<void> {
  const read = await outcomeOf(async () => {
    const answer = await requestServerMetadata(fetch, ADDRESS.server)
    return processServerMetadata(answer, ISSUER)
  }, [...ANSWER_CODES, 'issuer_mismatch'])
  if ('error' in read || read.value === undefined) return
  const metadata: ServerMetadata = read.value
  assertPlain(metadata)
  assert.equal(metadata.issuer, ISSUER)
  for (const name of ['authorization_endpoint', 'token_endpoint'] as const) {
    assert.ok(URL.canParse(metadata[name] ?? ''))
  }
  for (const [name, value] of Object.entries(metadata)) {
    if (name.endsWith('_endpoint')) assert.ok(value === undefined || typeof value === 'string', name)
    if (name.endsWith('_supported') && value !== undefined && typeof value !== 'boolean') {
      assert.ok(Array.isArray(value) && value.every((item) => typeof item === 'string'), name)
    }
  }
  const pkce = await outcomeOf(() => assertPkceSupported(metadata), ['pkce_unsupported'])
  assert.equal('error' in pkce, !metadata.code_challenge_methods_supported?.includes('S256'))
}
