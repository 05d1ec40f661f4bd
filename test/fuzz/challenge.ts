import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Challenge, challengeOf, oauthChallenge, parseChallenges } from '../../src/oauth/challenge.ts'
import { broken, word } from './broken-text.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { assertPrototypesClean } from './invariants.ts'

/** No HTTP client takes longer headers. */
const LONGEST = 65_536

/** `WWW-Authenticate`: one value, or what it must be read as. */
export interface ChallengeInput {
  readonly header: string
  /** What was written; absent where it was broken afterwards. */
  readonly written?: readonly Written[]
}

interface Written {
  readonly scheme: string
  readonly token68?: string
  readonly parameters: readonly (readonly [name: string, value: string])[]
}

const token = fc.oneof(
  fc.constantFrom(
    'realm',
    'scope',
    'error',
    'resource_metadata',
    'error_description',
    'algs',
    '__proto__',
    'a',
  ),
  fc.stringMatching(/^[!#$%&*+\-.^_`|~\w][!#$%&'*+\-.^_`|~\w]{0,8}$/),
)
const scheme = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('Bearer', 'DPoP', 'Basic', 'Negotiate', 'bearer', 'Digest') },
  { weight: 1, arbitrary: token },
)
const value = fc.oneof(
  fc.constantFrom(
    'https://mcp.example.com/.well-known/oauth-protected-resource?a=b,c',
    'files:read files:write',
    'invalid_token',
    'insufficient_scope',
    '',
    'a "b" \\c, d=e',
    'Basic realm=x',
  ),
  token,
  word,
)
const written: fc.Arbitrary<Written> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ scheme, parameters: fc.array(fc.tuple(token, value), { maxLength: 4 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      scheme,
      token68: fc.stringMatching(/^[A-Za-z0-9\-._~+/]{1,12}={0,2}$/),
      parameters: fc.constant([]),
    }),
  },
)

const IS_TOKEN = /^[!#$%&*+\-.^_`|~\w][!#$%&'*+\-.^_`|~\w]*$/
const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`

function serialize(challenges: readonly Written[], space: string): string {
  return challenges
    .map(({ scheme: name, token68, parameters }) => {
      const pairs = parameters.map(([key, text], index) => {
        const isBare = IS_TOKEN.test(text) && (index + text.length) % 2 === 0
        return `${key}${space}=${space}${isBare ? text : quoted(text)}`
      })
      return [name, token68 ?? pairs.join(`,${space}`)].filter(Boolean).join(' ')
    })
    .join(`${space}, `)
}

const wellFormed: fc.Arbitrary<ChallengeInput> = fc
  .tuple(fc.array(written, { maxLength: 4 }), fc.constantFrom('', '', ' ', '\t '))
  .map(([challenges, space]) => ({ header: serialize(challenges, space), written: challenges }))

/** Reads what a server says with a 401, whatever it is. */
export const challengeTarget: FuzzTarget<ChallengeInput> = {
  name: 'challenge',
  inputs: fc.oneof(
    { weight: 1, arbitrary: wellFormed },
    {
      weight: 2,
      arbitrary: broken(wellFormed.map(({ header }) => header)).map((text) => ({
        header: text.slice(0, LONGEST),
      })),
    },
  ),
  fromBytes: (bytes) => ({ header: bytes.toString('latin1') }),

  async check({ header, written: expected }) {
    const challenges = parseChallenges(header)
    if (expected) assert.deepEqual(challenges.map(plain), expected.map(asRead))
    for (const challenge of challenges) assertIsOne(challenge, header)
    // What was read can be written down and is read as the same again.
    const again = serialize(challenges.map(plain), '')
    assert.deepEqual(parseChallenges(again), challenges)
    assertSummary(header, challenges)
    assertPrototypesClean()
  },
}

function plain({ scheme: name, token68, parameters }: Challenge): Written {
  return { scheme: name, ...(token68 !== undefined && { token68 }), parameters: [...parameters] }
}

/** Names in lower case, the first of a repeated parameter. */
function asRead({ scheme: name, token68, parameters }: Written): Written {
  const first = new Map<string, string>()
  for (const [key, text] of parameters) {
    if (!first.has(key.toLowerCase())) first.set(key.toLowerCase(), text)
  }
  return {
    scheme: name.toLowerCase(),
    ...(token68 !== undefined && { token68 }),
    parameters: [...first],
  }
}

function assertIsOne({ scheme: name, token68, parameters }: Challenge, header: string): void {
  assert.match(name, /^[!#$%&'*+\-.^_`|~\w]+$/)
  assert.equal(name, name.toLowerCase())
  assert.ok(token68 === undefined || parameters.size === 0)
  for (const [key, text] of parameters) {
    assert.equal(key, key.toLowerCase())
    assert.ok(key.length + text.length <= header.length)
  }
}

/** The same through a real answer, where a header can carry it. */
function assertSummary(header: string, challenges: readonly Challenge[]): void {
  if (/[^\u0001-\u00ff]|[\r\n]/.test(header)) return
  const answer = new Response(null, { status: 401, headers: { 'www-authenticate': header } })
  const { status, ...summary } = challengeOf(answer)
  assert.equal(status, 401)
  for (const member of Object.values(summary)) assert.ok(member === undefined || typeof member === 'string')
  const chosen = oauthChallenge(challenges)
  assert.ok(chosen === undefined || ['bearer', 'dpop'].includes(chosen.scheme))
  if (header.trim() === header) {
    assert.equal(summary.scope, (chosen ?? challenges[0])?.parameters.get('scope') || undefined)
  }
}
