import { expect, test } from 'vitest'
import { duration, moment } from './times.ts'

test.each([
  [-5, '0 s'],
  [45, '45 s'],
  [119, '119 s'],
  [120, '2 min'],
  [3600, '60 min'],
  [2 * 3600, '2 h'],
  [47 * 3600, '47 h'],
  [48 * 3600, '2 days'],
])('%d s', (seconds, words) => expect(duration(seconds)).toBe(words))

test('a moment is told from both sides', () => {
  const now = Date.UTC(2026, 0, 1) / 1000
  expect(moment(now + 3600, now)).toMatch(/^in 60 min \(\d{4}-\d\d-\d\d \d\d:\d\d\)$/)
  expect(moment(now - 3600, now)).toMatch(/^60 min ago \(/)
})
