import { expect, test } from 'vitest'
import { readRetryAfter, retryDelay } from './retry.ts'

const NOW = Date.UTC(2026, 0, 1)

test.each([
  [undefined, undefined],
  ['0', 0],
  ['7', 7_000],
  ['60', 60_000],
  ['61', 'too long'],
  [new Date(NOW + 5_000).toUTCString(), 5_000],
  [new Date(NOW - 5_000).toUTCString(), 0],
  [new Date(NOW + 120_000).toUTCString(), 'too long'],
  ['soon', undefined],
  ['-5', undefined],
])('Retry-After %j → %j', (value, expected) => {
  const headers: Record<string, string> = value === undefined ? {} : { 'retry-after': value }
  expect(readRetryAfter(new Response(null, { headers }), NOW)).toBe(expected)
})

test.each([
  [1, 500],
  [2, 2_000],
  [3, 8_000],
  [9, 8_000],
])('after try %i the wait is %i ms, less up to a quarter', (attempt, most) => {
  for (let i = 0; i < 50; i += 1) {
    const delay = retryDelay(attempt)
    expect(delay).toBeLessThanOrEqual(most)
    expect(delay).toBeGreaterThanOrEqual(most * 0.75)
  }
})
