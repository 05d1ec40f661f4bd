import { expect, test } from 'vitest'
import type { ChallengeSummary } from '../errors/index.ts'
import { discoveryFailure } from './discovery-failure.ts'

const ATTEMPTS = [
  { url: 'https://h/prm', status: 404, contentType: undefined, outcome: 'not there' },
  { url: 'https://h/as', status: 200, contentType: 'text/html', outcome: 'not JSON' },
]

function failure(challenge: ChallengeSummary | undefined) {
  return discoveryFailure({ serverUrl: 'https://h/mcp', challenge }, ATTEMPTS)
}

test('[DISC-09] lists every URL with status and content type', () => {
  const error = failure({ scheme: 'bearer' })
  expect(error.summary).toBe(
    [
      'No authorization server was found for https://h/mcp. Asked:',
      '  https://h/prm → 404 (not there)',
      '  https://h/as → 200 text/html (not JSON)',
    ].join('\n'),
  )
  expect(error.attempts).toEqual(ATTEMPTS)
})

test.each<[string, ChallengeSummary | undefined, RegExp]>([
  ['Bearer', { scheme: 'bearer' }, /auth\.oauth_provider\.metadata[\s\S]*client_id[\s\S]*`auth: "<token>"`/],
  ['DPoP', { scheme: 'dpop' }, /auth\.oauth_provider\.metadata/],
  [
    'Basic',
    { scheme: 'basic' },
    /^The server asks for a user name and password.*basicAuth\(user, password\)/,
  ],
  ['another scheme', { scheme: 'negotiate' }, /^The server asks for the scheme "negotiate": use custom/],
  ['nothing named', { scheme: undefined }, /^The server does not say[\s\S]*`auth: "<token>"`.*`headers`/],
  ['no credential at all', undefined, /^The server answered without asking for a credential.*`auth: false`/],
])('says what to do where the server asks for %s', (_what, challenge, remedy) => {
  expect(failure(challenge).remedy).toMatch(remedy)
  expect(failure(challenge).remedy).toContain('oauth_provider')
})
