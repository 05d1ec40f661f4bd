import { expect, test } from 'vitest'
import { judgePromises } from '../scripts/security-promises.mjs'

const page = (...items: string[]) =>
  `# Security\n\n## What we promise\n\n### To you\n\n${items.join('\n')}\n\n## What we do not\n\n- **Magic.**\n`
const ran = (name: string, status = 'passed') => ({ file: 'test/a.test.ts', name, status })
const judge = (text: string, ...tests: ReturnType<typeof ran>[]) => judgePromises({ page: text, tests })

test('a promise with a test that passed is kept; what is not promised needs none', () => {
  const text = page('- **No shell.** Ever.\n  Shown by [S2: no\n  shell](test/a.test.ts).')
  expect(judge(text, ran('opening S2: no shell is started'))).toEqual({ problems: [], promises: 1, named: 1 })
})

test.each([
  ['names no test', '- **No shell.**', /No test is named for: \*\*No shell/],
  ['names a test that is gone', '- **No shell.** [S3](test/a.test.ts)', /has no test "S3"/],
  [
    'names a test of another file',
    '- **No shell.** [S2](test/b.test.ts)',
    /test\/b.test.ts has no test "S2"/,
  ],
])('a promise that %s is a problem', (_what, item, problem) => {
  expect(judge(page(item), ran('S2')).problems).toEqual([expect.stringMatching(problem)])
})

test('a promise whose test fails is a problem, a skipped one is not', () => {
  const text = page('- **No shell.** [S2](test/a.test.ts)')
  expect(judge(text, ran('S2 a', 'failed')).problems).toHaveLength(1)
  expect(judge(text, ran('S2 a', 'skipped')).problems).toEqual([])
})

test('a page without promises is a problem', () => {
  expect(judge('# Security').problems).toHaveLength(1)
})
