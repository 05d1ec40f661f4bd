import { describe, expect, test } from 'vitest'
import { createDpopVerifier, type DpopVerifier, decoded, digest } from '../../test/fixtures/dpop-verifier.ts'
import type { Answer } from './answer.ts'
import { parseChallenges } from './challenge.ts'
import { DpopProver, refusedProof, withServerNonce } from './dpop.ts'
import { type DpopAlgorithm, dpopThumbprint, generateDpopKey } from './dpop-key.ts'

const URL_ = 'https://mcp.example/mcp'
const clock = { now: () => Date.now() }

async function newProver(algorithm: DpopAlgorithm = 'ES256'): Promise<DpopProver> {
  return new DpopProver(await generateDpopKey(algorithm), clock)
}

function accepted(verifier: DpopVerifier, proof: string, more: object = {}): void {
  const request = { method: 'POST', url: URL_, proof, ...more }
  expect([verifier.refuse(request), verifier.refusals]).toEqual([undefined, []])
}

describe('a proof', () => {
  test.each(['ES256', 'ES384', 'ES512'] as const)('of %s stands a check by other code', async (algorithm) => {
    const prover = await newProver(algorithm)
    const proof = await prover.proof({ method: 'POST', url: URL_ })
    accepted(createDpopVerifier(), proof)
    expect(decoded(proof)!.header.alg).toBe(algorithm)
  })

  test('[DPOP-01] has the members of RFC 9449 section 4.2, and no private one', async () => {
    const prover = new DpopProver(await generateDpopKey('ES256'), { now: () => 1_700_000_000_999 })
    const { header, claims } = decoded(await prover.proof({ method: 'GET', url: URL_ }))!
    const { crv, kty, x, y } = prover.key
    expect(header).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } })
    expect(claims).toEqual({
      jti: expect.stringMatching(/^[\w-]{22}$/),
      htm: 'GET',
      htu: URL_,
      iat: 1_700_000_000,
    })
  })

  test.each([
    ['https://mcp.example/a%20b/?secret=1#part', 'https://mcp.example/a%20b/'],
    ['https://user:word@MCP.example:443', 'https://mcp.example/'],
    ['http://[::1]:3000/x', 'http://[::1]:3000/x'],
  ])('[DPOP-01] for %s is for %s', async (url, htu) => {
    const prover = await newProver()
    expect(decoded(await prover.proof({ method: 'GET', url }))!.claims.htu).toBe(htu)
  })

  test('[DPOP-03] for a protected resource names the token by its digest alone', async () => {
    const prover = await newProver()
    const proof = await prover.proof({ method: 'POST', url: URL_, accessToken: 'the-token' })
    expect(decoded(proof)!.claims.ath).toBe(digest('the-token'))
    expect(Buffer.from(proof.split('.')[1]!, 'base64url').toString()).not.toContain('the-token')
  })

  test('is another one each time, also for requests at the same moment', async () => {
    const prover = await newProver()
    const verifier = createDpopVerifier()
    const proofs = await Promise.all(
      Array.from({ length: 20 }, () => prover.proof({ method: 'POST', url: URL_ })),
    )
    for (const proof of proofs) accepted(verifier, proof)
  })
})

describe('nonces', () => {
  const withNonce = (nonce: string) => new Headers({ 'dpop-nonce': nonce })
  const nonceFor = async (prover: DpopProver, url: string) =>
    decoded(await prover.proof({ method: 'POST', url }))!.claims.nonce

  test('[DPOP-07] are used from then on at the origin that gave them, and nowhere else', async () => {
    const prover = await newProver()
    expect(prover.remember(URL_, withNonce('one'))).toBe(true)
    expect(await nonceFor(prover, 'https://mcp.example/other')).toBe('one')
    expect(await nonceFor(prover, 'https://as.example/token')).toBeUndefined()
    expect(await nonceFor(prover, 'https://mcp.example:8443/mcp')).toBeUndefined()
  })

  test('the newest one counts; an answer without one changes nothing', async () => {
    const prover = await newProver()
    prover.remember(URL_, withNonce('one'))
    prover.remember(URL_, withNonce('two'))
    expect(prover.remember(URL_, new Headers())).toBe(false)
    expect(prover.remember(URL_, withNonce('two'))).toBe(false)
    expect(await nonceFor(prover, URL_)).toBe('two')
  })
})

describe('a token request', () => {
  const TOKEN = 'https://as.example/token'
  const answer = (status: number, members: Answer['members'], nonce?: string): Answer => ({
    url: TOKEN,
    status,
    ok: status < 300,
    headers: new Headers(nonce ? { 'dpop-nonce': nonce } : {}),
    contentType: 'application/json',
    members,
  })
  const wantsNonce = (nonce?: string) => answer(400, { error: 'use_dpop_nonce' }, nonce)
  const granted = answer(200, { access_token: 'at' }, 'next')

  /** Sends, answered by these one after the other, and tells the nonces that were sent. */
  async function exchange(answers: Answer[], prover: DpopProver) {
    const nonces: (string | undefined)[] = []
    const outcome = await withServerNonce(prover, async () => {
      const { headers } = await prover.sign(TOKEN, { method: 'POST', headers: { accept: 'x' } })
      nonces.push(decoded((headers as Headers).get('dpop')!)!.claims.nonce)
      expect((headers as Headers).get('accept')).toBe('x')
      return answers.shift()!
    })
    return { outcome, nonces }
  }

  test('[DPOP-05] is sent once where no nonce is wanted, and once more with it where it is', async () => {
    expect((await exchange([granted], await newProver())).nonces).toEqual([undefined])
    const { outcome, nonces } = await exchange([wantsNonce('n1'), granted], await newProver())
    expect(outcome).toBe(granted)
    expect(nonces).toEqual([undefined, 'n1'])
  })

  test('a nonce that ended is replaced; the one of a good answer is used next', async () => {
    const prover = await newProver()
    await exchange([granted], prover)
    expect((await exchange([wantsNonce('n2'), granted], prover)).nonces).toEqual(['next', 'n2'])
  })

  test.each([
    ['a server that never has enough', [wantsNonce('n1'), wantsNonce('n2')], 2],
    ['one that wants a nonce and gives none', [wantsNonce()], 1],
    ['one that gives a nonce with another refusal', [answer(400, { error: 'invalid_grant' }, 'n1')], 1],
    ['one that gives a nonce with something unreadable', [answer(502, undefined, 'n1')], 1],
  ])('[DPOP-08] %s is not asked for ever', async (_, answers, times) => {
    const last = answers.at(-1)
    const { outcome, nonces } = await exchange([...answers], await newProver())
    expect(outcome).toBe(last)
    expect(nonces).toHaveLength(times)
  })
})

test.each([
  ['DPoP error="use_dpop_nonce", resource_metadata="u"', 'use_dpop_nonce'],
  ['Bearer, DPoP algs="ES256", error="invalid_dpop_proof"', 'invalid_dpop_proof'],
  ['DPoP error="invalid_token"', undefined],
  ['Bearer error="use_dpop_nonce"', undefined],
])('%s refuses the proof: %s', (value, expected) => {
  expect(refusedProof(parseChallenges(value))).toBe(expected)
})

describe('the verifier of these tests notices', () => {
  test.each<[string, RegExp, object]>([
    ['another method', /^htm/, { method: 'GET' }],
    ['another address', /^htu/, { url: 'https://mcp.example/other' }],
    ['another token', /^ath/, { token: 'other' }],
    ['no token where the proof is for one', /^ath/, { token: undefined }],
    ['another key than the one of the token', /another key/, { jkt: 'other' }],
  ])('%s', async (_, refusal, change) => {
    const prover = await newProver()
    const proof = await prover.proof({ method: 'POST', url: URL_, accessToken: 'at' })
    const verifier = createDpopVerifier()
    const jkt = await dpopThumbprint(prover.key)
    const request = { method: 'POST', url: URL_, proof, token: 'at', jkt }
    expect(verifier.refuse({ ...request, ...change })).toBeDefined()
    expect(verifier.refusals).toEqual([expect.stringMatching(refusal)])
    expect(createDpopVerifier().refuse(request)).toBeUndefined()
  })

  test('a proof that was used before, one of yesterday, two at once, and one that was changed', async () => {
    const prover = await newProver()
    const proof = await prover.proof({ method: 'POST', url: URL_ })
    const yesterday = new DpopProver(prover.key, { now: () => Date.now() - 86_400_000 })
    const old = await yesterday.proof({ method: 'POST', url: URL_ })
    const [header, claims, signature] = proof.split('.')
    const other = (await prover.proof({ method: 'POST', url: URL_ })).split('.')[1]
    const verifier = createDpopVerifier()
    accepted(verifier, proof)
    for (const bad of [proof, old, `${proof}, ${old}`, `${header}.${other}.${signature}`, undefined]) {
      expect(verifier.refuse({ method: 'POST', url: URL_, proof: bad })).toBe('invalid_dpop_proof')
    }
    expect(claims).not.toBe(other)
    expect(verifier.refusals).toEqual([
      'jti used before',
      'iat is not recent',
      'there is not exactly one proof',
      'the signature is wrong',
      'there is not exactly one proof',
    ])
  })
})
