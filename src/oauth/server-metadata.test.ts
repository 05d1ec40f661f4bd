import { describe, expect, test } from 'vitest'
import { IssuerMismatchError, PkceUnsupportedError } from '../errors/index.ts'
import { readAnswer } from './answer.ts'
import {
  assertPkceSupported,
  defaultServerMetadata,
  processServerMetadata,
  requestServerMetadata,
  serverMetadataUrls,
} from './server-metadata.ts'

const ISSUER = 'https://as.example/tenant'
const DOCUMENT = {
  issuer: ISSUER,
  authorization_endpoint: 'https://login.example/authorize',
  token_endpoint: 'https://as.example/token',
  code_challenge_methods_supported: ['S256'],
}

async function judge(document: object | string, issuer = ISSUER, status = 200) {
  const body = typeof document === 'string' ? document : JSON.stringify(document)
  return processServerMetadata(await readAnswer(new Response(body, { status }), `${ISSUER}/where`), issuer)
}

describe('where metadata may be', () => {
  test.each([
    [
      'https://as.example',
      [
        'https://as.example/.well-known/oauth-authorization-server',
        'https://as.example/.well-known/openid-configuration',
      ],
    ],
    [
      'https://as.example/',
      [
        'https://as.example/.well-known/oauth-authorization-server',
        'https://as.example/.well-known/openid-configuration',
      ],
    ],
    [
      'https://as.example/a/b/',
      [
        'https://as.example/.well-known/oauth-authorization-server/a/b',
        'https://as.example/.well-known/openid-configuration/a/b',
        'https://as.example/a/b/.well-known/openid-configuration',
      ],
    ],
  ])('[META-02] [META-03] of %s', (issuer, urls) => {
    expect(serverMetadataUrls(issuer)).toEqual(urls)
  })

  test('[COMPAT-03] the request asks for JSON and names a protocol version', async () => {
    let headers = new Headers()
    await requestServerMetadata(async (_url, init) => {
      headers = new Headers(init?.headers)
      return new Response('{}')
    }, 'https://as.example/x')
    expect(headers.get('accept')).toBe('application/json')
    expect(headers.get('mcp-protocol-version')).toBe('2025-03-26')
  })
})

describe('judging a document', () => {
  test('takes it as it is', async () => {
    expect(await judge(DOCUMENT)).toEqual(DOCUMENT)
  })

  test('drops null members, lists that are no lists and endpoints that are no strings', async () => {
    const messy = {
      ...DOCUMENT,
      registration_endpoint: null,
      revocation_endpoint: '',
      introspection_endpoint: 17,
      scopes_supported: 'a b',
      token_endpoint_auth_methods_supported: ['none', null, 3],
    }
    expect(await judge(messy)).toEqual({
      ...DOCUMENT,
      introspection_endpoint: '17',
      token_endpoint_auth_methods_supported: ['none'],
    })
  })

  test.each<[string, object | string, number]>([
    ['HTML with 200', '<!doctype html>', 200],
    ['a 404 with JSON', DOCUMENT, 404],
    ['a 401 wall', { error: 'unauthorized' }, 401],
    ['another document', { hello: 'world' }, 200],
    ['no token endpoint', { ...DOCUMENT, token_endpoint: undefined }, 200],
    ['an endpoint that is no URL', { ...DOCUMENT, token_endpoint: '/token' }, 200],
  ])('[META-05] finds none in %s', async (_what, document, status) => {
    expect(await judge(document, ISSUER, status)).toBeUndefined()
  })

  test.each([
    ['another host', 'https://evil.example/tenant'],
    ['a trailing slash', `${ISSUER}/`],
    ['another case', 'https://as.example/Tenant'],
    ['an upper-case host', 'https://AS.example/tenant'],
    ['the default port', 'https://as.example:443/tenant'],
  ])('[META-04] refuses an issuer with %s', async (_what, issuer) => {
    const outcome = judge({ ...DOCUMENT, issuer })
    await expect(outcome).rejects.toThrow(IssuerMismatchError)
    await expect(outcome).rejects.toMatchObject({ expected: ISSUER, actual: issuer })
    await expect(outcome).rejects.toThrow(/auth\.oauth_provider/)
  })

  test('[META-04] refuses a document without issuer', async () => {
    await expect(judge({ ...DOCUMENT, issuer: null })).rejects.toMatchObject({ actual: undefined })
  })

  test.each(['https://accounts.example@as.example', `${ISSUER}?a=b`, `${ISSUER}#`, ` ${ISSUER}`])(
    'in the name of %j, which can be no issuer, it is none',
    async (issuer) => {
      expect(await judge({ ...DOCUMENT, issuer }, issuer)).toBeUndefined()
    },
  )

  test('[META-04] an origin is not its root', async () => {
    const origin = { ...DOCUMENT, issuer: 'https://as.example/' }
    await expect(judge(origin, 'https://as.example')).rejects.toThrow(IssuerMismatchError)
    expect((await judge(origin, 'https://as.example/'))?.issuer).toBe('https://as.example/')
  })
})

describe('PKCE', () => {
  const metadata = { ...DOCUMENT }

  test('with S256 passes', () => {
    expect(() =>
      assertPkceSupported({ ...metadata, code_challenge_methods_supported: ['plain', 'S256'] }),
    ).not.toThrow()
  })

  test('[PKCE-03] that nobody announces is refused, naming the setting', () => {
    const { code_challenge_methods_supported: _, ...silent } = metadata
    expect(() => assertPkceSupported(silent)).toThrow(PkceUnsupportedError)
    expect(() => assertPkceSupported(silent)).toThrow(/auth\.oauth_provider/)
  })

  test.each([[['plain']], [[]]])('[PKCE-05] with only %j is refused', (supported) => {
    expect(() => assertPkceSupported({ ...metadata, code_challenge_methods_supported: supported })).toThrow(
      /S256 is required/,
    )
  })
})

test('[COMPAT-02] the default endpoints of 2025-03-26 are at the origin', () => {
  expect(defaultServerMetadata('https://mcp.example/v1/mcp?x=1')).toMatchObject({
    issuer: 'https://mcp.example',
    authorization_endpoint: 'https://mcp.example/authorize',
    token_endpoint: 'https://mcp.example/token',
    registration_endpoint: 'https://mcp.example/register',
  })
})
