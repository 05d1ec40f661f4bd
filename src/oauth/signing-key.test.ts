import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { assertAlgorithmSupported, importSigningKey } from './signing-key.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const pem = (type: 'pkcs8' | 'sec1') => privateKey.export({ type, format: 'pem' }).toString()

test('goes by the key where no algorithm is named', async () => {
  const { key } = await importSigningKey(pem('pkcs8'), {})
  expect(key).toMatchObject({ algorithm: { name: 'ECDSA', namedCurve: 'P-384' }, extractable: false })
})

test('a key of another kind than the algorithm is said, without any of it', async () => {
  const failed = importSigningKey(pem('pkcs8'), { algorithm: 'RS256' })
  await expect(failed).rejects.toMatchObject({
    code: 'config_invalid',
    key: 'auth.private_key',
    message: expect.stringContaining('RS256'),
  })
  const body = pem('pkcs8').split('\n')[1]!
  await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining(body) })
})

test.each([
  ['another form', pem('sec1')],
  ['an encrypted key', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----'],
  ['no PEM', 'AAAA'],
  ['no PEM', '-----BEGIN PRIVATE KEY-----\n***\n-----END PRIVATE KEY-----'],
])('%s gets the command that converts it', async (why, text) => {
  await expect(importSigningKey(text, {})).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(why),
    remedy: expect.stringContaining('openssl pkcs8'),
  })
})

test.each([
  ['RS256', ['RS256'], true],
  ['RS256', undefined, true],
  ['RS256', ['PS256', 'ES256'], false],
  ['RS256', [], false],
  ['Ed25519', ['EdDSA'], true],
])('[CC-07] %s at a server that lists %j: %j', (algorithm, supported, taken) => {
  const check = () => assertAlgorithmSupported({ key: {} as CryptoKey, algorithm }, supported)
  if (taken) expect(check).not.toThrow()
  else expect(check).toThrow(expect.objectContaining({ key: 'auth.signing_algorithm' }))
})
