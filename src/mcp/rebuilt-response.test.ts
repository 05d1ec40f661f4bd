import { expect, test } from 'vitest'
import { rebuilt } from './rebuilt-response.ts'

/** As a runtime hands it over: what it read need not be what it would make. */
const received = (status: number, statusText: string) =>
  ({ status, statusText, headers: new Headers({ 'x-a': 'b' }) }) as Response

test.each([
  [200, 'OK', 200, 'OK'],
  [200, 'Succ\u00e8s', 200, 'Succ\u00e8s'],
  [200, 'Succ\ufffds', 200, ''],
  [404, '\u6ca1\u6709', 404, ''],
  [999, 'No', 500, 'No'],
])('an answer %i %j can be made again', async (status, reason, expected, kept) => {
  const answer = rebuilt(received(status, reason), 'body')
  expect([answer.status, answer.statusText, await answer.text()]).toEqual([expected, kept, 'body'])
  expect(answer.headers.get('x-a')).toBe('b')
})
