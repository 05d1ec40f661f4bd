import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { chooseDpopAlgorithm, type DpopKey, dpopThumbprint, generateDpopKey, isDpopKey } from './dpop-key.ts'

describe('[DPOP-02] the algorithm', () => {
  test.each([
    ['ES256 where the server names none', undefined, 'ES256'],
    ['ES256 where it takes it, whatever comes first', ['RS256', 'ES512', 'ES256'], 'ES256'],
    ['the next best of ours', ['PS256', 'ES512', 'ES384'], 'ES384'],
    ['none in common', ['RS256', 'EdDSA'], undefined],
    ['never a symmetric one, never none', ['HS256', 'none'], undefined],
    ['an empty list takes nothing', [], undefined],
  ])('%s', (_, supported, expected) => {
    expect(chooseDpopAlgorithm(supported)).toBe(expected)
  })
})

describe.each(['ES256', 'ES384', 'ES512'] as const)('a key for %s', (algorithm) => {
  test('survives being stored, and is another one each time', async () => {
    const [one, two] = await Promise.all([generateDpopKey(algorithm), generateDpopKey(algorithm)])
    expect(JSON.parse(JSON.stringify(one))).toEqual(one)
    expect(isDpopKey(one)).toBe(true)
    expect(one.alg).toBe(algorithm)
    expect(one.d).not.toBe(two.d)
  })
})

test('the thumbprint is the one of RFC 7638: public members in order, nothing else', async () => {
  const key = await generateDpopKey('ES256')
  const text = `{"crv":"P-256","kty":"EC","x":"${key.x}","y":"${key.y}"}`
  const expected = createHash('sha256').update(text).digest('base64url')
  expect(await dpopThumbprint(key)).toBe(expected)
  const reordered: DpopKey = { d: 'other', y: key.y, x: key.x, crv: key.crv, alg: key.alg, kty: key.kty }
  expect(await dpopThumbprint(reordered)).toBe(expected)
})

test('the thumbprint of the key in RFC 9449 section 4 is the one its tokens carry (section 6.1)', async () => {
  const key: DpopKey = {
    kty: 'EC',
    alg: 'ES256',
    crv: 'P-256',
    x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
    y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
    d: '',
  }
  expect(await dpopThumbprint(key)).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I')
})

describe('a stored value that is no key', () => {
  test.each<[string, (key: DpopKey) => unknown]>([
    ['nothing', () => undefined],
    ['null', () => null],
    ['text', (key) => JSON.stringify(key)],
    ['a public key', ({ d: _, ...key }) => key],
    ['a private part that is no text', (key) => ({ ...key, d: 17 })],
    ['another curve than the one of its algorithm', (key) => ({ ...key, crv: 'P-384' })],
    ['an algorithm that is not ours', (key) => ({ ...key, alg: 'HS256' })],
    ['an inherited name as the algorithm', (key) => ({ ...key, alg: 'constructor' })],
    ['another kind of key', (key) => ({ ...key, kty: 'oct' })],
    ['characters that are no base64url', (key) => ({ ...key, x: `${key.x.slice(1)}=` })],
  ])('%s', async (_, change) => {
    expect(isDpopKey(change(await generateDpopKey('ES256')))).toBe(false)
  })
})
