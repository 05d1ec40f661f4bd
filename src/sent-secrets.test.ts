import { expect, test } from 'vitest'
import { secretsOf } from './sent-secrets.ts'

const basic = (user: string, password: string) => ({
  headers: { Authorization: `Basic ${btoa(`${user}:${password}`)}` },
})

test.each([
  ['plain', 'plain'],
  ['form%2Bencoded+twice', 'form+encoded twice'],
  ['50%off', '50%off'],
  ['%ff', '%ff'],
])('of a Basic header the password is known as it was sent, and as it was meant: %s', (sent, meant) => {
  const { all } = secretsOf(basic('someone', sent))
  expect(all).toEqual([btoa(`someone:${sent}`), sent, meant])
})

test('a header that is named like a secret is one whatever its length, another one when it is long', () => {
  const headers = { 'X-Api-Key': 'short', 'X-Tenant': 'production', 'X-Trace': '0123456789abcdef' }
  expect(secretsOf({ headers })).toEqual({ all: ['short', '0123456789abcdef'], credentials: ['short'] })
})
