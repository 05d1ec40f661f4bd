import { expect, test } from 'vitest'
import { withoutEcho } from './echo.ts'

const SECRET = 'rt-Oi3F74hwQ9zLm2'

test.each<[string, string]>([
  ['the whole secret', `The token ${SECRET} is unknown.`],
  ['a piece of eight characters', `The token ${SECRET.slice(4, 12)}… is unknown.`],
  ['its percent encoding', SECRET.replace(/./g, (one) => `%${one.charCodeAt(0).toString(16)}`)],
  ['its escapes', SECRET.replace(/./g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`)],
  ['its escapes, escaped', SECRET.replace(/./g, (one) => `\\\\u00${one.charCodeAt(0).toString(16)}`)],
  ['its base64', `Basic ${btoa(`${SECRET}?`)} is unknown.`],
  ['its base64 behind one character', `Basic ${btoa(`a${SECRET}?`)} is unknown.`],
  ['its base64 behind two', `Basic ${btoa(`ab${SECRET}?`)} is unknown.`],
  ['a piece of its base64', btoa(SECRET).slice(4, 12)],
])('S22: %s in the words of a server is not passed on', (_title, text) => {
  expect(withoutEcho(text, ['other-secret', SECRET])).toBe('(left out: it repeats a secret)')
})

test('a secret of six characters counts as a whole, a shorter one is a word that anybody may say', () => {
  expect(withoutEcho('no S3cret! here', ['S3cret!'])).toContain('left out')
  expect(withoutEcho('no S3cre here', ['S3cret!'])).toBe('no S3cre here')
  expect(withoutEcho('a word', ['word'])).toBe('a word')
})

test('a long token and a long text take no time', () => {
  const [text, secret] = ['x'.repeat(1_000_000), 'y'.repeat(16_000)]
  const started = performance.now()
  withoutEcho(text, [secret, secret])
  expect(performance.now() - started).toBeLessThan(1000)
})

test('words that repeat nothing are left as they are', () => {
  expect(withoutEcho('The token is unknown.', [SECRET, ''])).toBe('The token is unknown.')
})
