import { expect, test } from 'vitest'
import { withoutEcho } from './echo.ts'

const SECRET = 'rt-Oi3F74hwQ9zLm2'

test.each([
  ['the whole secret', `The token ${SECRET} is unknown.`],
  ['a piece of eight characters', `The token ${SECRET.slice(4, 12)}… is unknown.`],
])('S22: %s in the words of a server is not passed on', (_title, text) => {
  expect(withoutEcho(text, ['other-secret', SECRET])).not.toContain(SECRET.slice(4, 12))
})

test('words that repeat nothing are left as they are', () => {
  expect(withoutEcho('The token is unknown.', [SECRET, ''])).toBe('The token is unknown.')
})
