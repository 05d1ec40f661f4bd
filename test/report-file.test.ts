import { expect, test } from 'vitest'
import { mergedResults } from './report-file.ts'

const [here, there] = [import.meta.filename, new URL('report-file.ts', import.meta.url).pathname]

test('a run of one file replaces what was known of it, keeps the others, and forgets files that are gone', () => {
  const before = [
    { name: here, run: 1 },
    { name: there, run: 1 },
    { name: `${here}.gone`, run: 1 },
  ]
  expect(mergedResults(before, [{ name: here, run: 2 }])).toEqual([
    { name: here, run: 2 },
    { name: there, run: 1 },
  ])
})
