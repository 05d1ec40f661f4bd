import { expect, test } from 'vitest'
import { NetworkFailedError } from '../errors/index.ts'
import { connectFailed, findLatchkeyError, statusOf } from './connect-failure.ts'

const ours = new NetworkFailedError({ message: 'No answer.', url: 'https://mcp.example.com' })
const httpError = (status: number) => Object.assign(new Error('from the server'), { status })

test('our own error is found however deep the SDK wrapped it, and nothing else is', () => {
  expect(findLatchkeyError(new Error('outer', { cause: new Error('inner', { cause: ours }) }))).toBe(ours)
  expect(findLatchkeyError(new Error('outer', { cause: 'text' }))).toBeUndefined()
  expect(findLatchkeyError(undefined)).toBeUndefined()
})

test('the status is that of the outermost error that has one', () => {
  expect(statusOf(new Error('outer', { cause: httpError(405) }))).toBe(405)
  expect(statusOf(new Error('outer'))).toBeUndefined()
})

test.each([
  [503, /try again later/],
  [403, /what this account or token may do/],
  [404, /Check `url`/],
])('HTTP %i: the remedy fits', (status, remedy) => {
  expect(connectFailed('demo', httpError(status)).remedy).toMatch(remedy)
  expect(connectFailed('demo', new Error('SSE error'), status).remedy).toMatch(remedy)
})

test('control characters of the server do not reach a terminal', () => {
  const { message } = connectFailed('demo', new Error('\u001b[31mred\u001b[0m\nsecond line'))
  expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  expect(message).toContain('red')
})
