/** Run by `skip-reporter.test.ts` in a vitest of its own: two tests of something that is missing, one that is there. */
import { describe, expect, test } from 'vitest'
import { requires } from './requires.ts'

requires('strace', true)('there', () => {
  test('runs', () => expect(1).toBe(1))
})

requires('redis', process.env.SAMPLE_HAS_ALL === '1')('missing', () => {
  test('one', () => {})
  describe('deeper', () => {
    test('two', () => {})
  })
})

test.skipIf(process.env.SAMPLE_SKIPS_BY_HAND)('skipped by hand', () => {})
