import { describe, expect, test } from 'vitest'
import { challengeOf, oauthChallenge, parseChallenges } from './challenge.ts'

/** Scheme and parameters of every challenge, as plain data. */
function parsed(value: string | null) {
  return parseChallenges(value).map(({ scheme, token68, parameters }) => [
    scheme,
    token68 ?? Object.fromEntries(parameters),
  ])
}

const PRM = 'https://mcp.example/.well-known/oauth-protected-resource'

describe('parseChallenges', () => {
  test.each<[string, string | null, unknown[]]>([
    ['no header', null, []],
    ['an empty header', '', []],
    ['a bare scheme', 'Bearer', [['bearer', {}]]],
    ['any case of scheme and name', 'BEARER Scope="a"', [['bearer', { scope: 'a' }]]],
    ['several parameters', 'Bearer realm="x", scope="a b"', [['bearer', { realm: 'x', scope: 'a b' }]]],
    [
      'whitespace around "=" (BWS)',
      'Bearer scope = "a",realm\t=\tx',
      [['bearer', { scope: 'a', realm: 'x' }]],
    ],
    ['quoted commas', 'Bearer realm="a, b=c", scope="d"', [['bearer', { realm: 'a, b=c', scope: 'd' }]]],
    [
      'escapes in quotes',
      'Bearer realm="say \\"hi\\" \\\\", scope="d"',
      [['bearer', { realm: 'say "hi" \\', scope: 'd' }]],
    ],
    [
      'an unquoted URL',
      `Bearer resource_metadata=${PRM}?a=b, scope="x"`,
      [['bearer', { resource_metadata: `${PRM}?a=b`, scope: 'x' }]],
    ],
    ['single quotes', `Bearer resource_metadata='${PRM}'`, [['bearer', { resource_metadata: PRM }]]],
    ['a missing closing quote', `Bearer resource_metadata="${PRM}`, [['bearer', { resource_metadata: PRM }]]],
    ['missing commas', 'Bearer realm="x" scope="y"', [['bearer', { realm: 'x', scope: 'y' }]]],
    ['empty list elements', ', ,Bearer scope="a",,', [['bearer', { scope: 'a' }]]],
    [
      '[CHAL-03] the first of a repeated parameter',
      'Bearer scope="a", scope="b"',
      [['bearer', { scope: 'a' }]],
    ],
    ['[CHAL-03] no mix-up of similar names', 'Bearer error_scope="x"', [['bearer', { error_scope: 'x' }]]],
    [
      'several challenges',
      `Basic realm="x", Bearer scope="a", DPoP algs="ES256"`,
      [
        ['basic', { realm: 'x' }],
        ['bearer', { scope: 'a' }],
        ['dpop', { algs: 'ES256' }],
      ],
    ],
    [
      'token68 between others',
      'Negotiate YWJj==, NTLM, Bearer scope="a"',
      [
        ['negotiate', 'YWJj=='],
        ['ntlm', {}],
        ['bearer', { scope: 'a' }],
      ],
    ],
    ['a prototype name as a parameter', 'Bearer __proto__="x"', [['bearer', { ['__proto__']: 'x' }]]],
    ['parameters without a scheme', `resource_metadata="${PRM}"`, []],
    ['nothing after garbage', 'Bearer scope="a", @@@ Bearer scope="b"', [['bearer', { scope: 'a' }]]],
  ])('[CHAL-02] reads %s', (_what, value, expected) => {
    expect(parsed(value)).toEqual(expected)
  })

  test('[CHAL-02] reads header lines that fetch has joined', () => {
    const headers = new Headers()
    headers.append('www-authenticate', 'Basic realm="x"')
    headers.append('www-authenticate', `Bearer resource_metadata="${PRM}"`)
    expect(parsed(headers.get('www-authenticate'))).toEqual([
      ['basic', { realm: 'x' }],
      ['bearer', { resource_metadata: PRM }],
    ])
  })

  test('takes no more time than the header is long', () => {
    const started = performance.now()
    parseChallenges(`Bearer ${'a'.repeat(100_000)}="`)
    parseChallenges(`${'a '.repeat(50_000)}`)
    parseChallenges(`Bearer x="${'\\"'.repeat(50_000)}`)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('oauthChallenge', () => {
  test.each([
    ['[CHAL-04] the one with resource_metadata', 'Bearer realm="a", DPoP resource_metadata="u"', 'dpop'],
    ['Bearer before DPoP', 'DPoP algs="ES256", Bearer', 'bearer'],
    ['DPoP alone', 'Basic, DPoP', 'dpop'],
    ['none of other schemes', 'Basic realm="x", Negotiate', undefined],
  ])('chooses %s', (_what, value, scheme) => {
    expect(oauthChallenge(parseChallenges(value))?.scheme).toBe(scheme)
  })
})

describe('challengeOf', () => {
  const answer = (value?: string) =>
    new Response(null, { status: 401, headers: value ? { 'www-authenticate': value } : {} })

  test('tells scheme, metadata, scope and error of the OAuth challenge', () => {
    const said = `Basic realm="x", Bearer error="invalid_token", scope="a b", resource_metadata="${PRM}"`
    expect(challengeOf(answer(said))).toEqual({
      status: 401,
      scheme: 'bearer',
      resource_metadata: PRM,
      scope: 'a b',
      error: 'invalid_token',
    })
  })

  test('tells the first scheme where none is OAuth', () => {
    expect(challengeOf(answer('Negotiate, Basic realm="x"'))).toEqual({ status: 401, scheme: 'negotiate' })
  })

  test.each([
    ['DPoP alone', 'DPoP algs="ES256", resource_metadata="u"', 'dpop'],
    ['Bearer beside it', 'Bearer realm="a", DPoP resource_metadata="u"', 'bearer'],
  ])('[DPOP-09] says dpop only where nothing else is taken: %s', (_, said, scheme) => {
    expect(challengeOf(answer(said))).toEqual({ status: 401, scheme, resource_metadata: 'u' })
  })

  test('has no scheme for a bare 401', () => {
    expect(challengeOf(answer())).toEqual({ status: 401, scheme: undefined })
  })
})
