import { expect, test } from 'vitest'
import { nearestKey } from './nearest-key.ts'

const KEYS = [
  'client_id',
  'client_secret',
  'scope',
  'callback_port',
  'redirect_uri',
  'account',
  'oauth_provider',
]

test.each([
  ['client_idd', 'client_id'],
  ['cleint_id', 'client_id'],
  ['ClientID', 'client_id'],
  ['client-id', 'client_id'],
  ['clientSecrte', 'client_secret'],
  ['secret', 'client_secret'],
  ['scop', 'scope'],
  ['port', 'callback_port'],
  ['redirectUrl', 'redirect_uri'],
  ['provider', 'oauth_provider'],
  ['colour', undefined],
  ['x', undefined],
  ['', undefined],
  ['___', undefined],
  ['c'.repeat(100_000), undefined],
])('%s is nearest to %s', (key, expected) => {
  expect(nearestKey(key, KEYS)).toBe(expected)
})
