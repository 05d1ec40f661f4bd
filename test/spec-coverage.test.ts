import { describe, expect, test } from 'vitest'
import {
  coveragePage,
  judgeCoverage,
  type NamedTest,
  type Requirement,
} from '../scripts/requirement-coverage.mjs'

const requirement = (id: string, more: Partial<Requirement> = {}): Requirement => ({
  id,
  level: 'MUST',
  text: 'Something is done.',
  source: 'RFC 1 §2',
  ...more,
})

const covering = (name: string, status = 'passed', file = 'test/a.test.ts'): NamedTest => ({
  file,
  name,
  status,
})

function judge(requirements: Requirement[], tests: NamedTest[]) {
  const sections = [{ title: 'A section', requirements }]
  return { sections, ...judgeCoverage({ sections, tests, scenarios: ['auth/passes'] }) }
}

const named = (...ids: string[]) => `${ids.map((each) => `[${each}]`).join(' ')} a behaviour`

describe('what is judged', () => {
  test('a passing test covers every id in its name, wherever it stands', () => {
    const requirements = ['XX-01', 'XX-02', 'XX-03'].map((id) => requirement(id))
    const { problems, filesById } = judge(requirements, [
      covering(named('XX-01', 'XX-02')),
      covering(`a suite ${named('XX-03')}`, 'passed', 'src/b.test.ts'),
    ])
    expect(problems).toEqual([])
    expect(filesById.get('XX-03')).toEqual(['src/b.test.ts'])
  })

  test.each<[string, Requirement[], NamedTest[], string]>([
    ['an id without a test', [requirement('XX-01')], [covering('another')], 'has no test, and no reason'],
    ['an id that nobody knows', [], [covering(named('XX-09'))], 'is no requirement'],
    ['a failing test', [requirement('XX-01')], [covering(named('XX-01'), 'failed')], 'fails: test/a.test.ts'],
    [
      'a failing test beside a passing one',
      [requirement('XX-01')],
      [covering(named('XX-01')), covering(named('XX-01'), 'failed')],
      'fails',
    ],
    [
      'an id that stands twice',
      [requirement('XX-01'), requirement('XX-02'), requirement('XX-01')],
      [covering(named('XX-01', 'XX-02'))],
      'stands twice',
    ],
    [
      'a test of what is said not to apply',
      [requirement('XX-01', { not_applicable: 'There is none.' })],
      [covering(named('XX-01'))],
      'is said not to apply',
    ],
    ['an empty reason', [requirement('XX-01', { not_applicable: ' ' })], [], 'empty reason'],
    [
      'a scenario that does not pass',
      [requirement('XX-01', { scenarios: ['auth/passes', 'auth/fails'] })],
      [covering(named('XX-01'))],
      'auth/fails, which does not pass',
    ],
    ['an id of another form', [requirement('xx-1', { not_applicable: 'x' })], [], 'is no id'],
    [
      'a level of another kind',
      [requirement('XX-01', { level: 'must' })],
      [covering(named('XX-01'))],
      'level must',
    ],
  ])('%s is a problem', (_title, requirements, tests, problem) => {
    expect(judge(requirements, tests).problems).toEqual([expect.stringContaining(problem)])
  })

  test('a reason stands for a test', () => {
    expect(judge([requirement('XX-01', { not_applicable: 'There is none.' })], []).problems).toEqual([])
  })

  test('what this machine could not run is said, and is no problem', () => {
    const skipped = [covering(named('XX-01'), 'skipped'), covering(named('XX-02'), 'skipped')]
    const requirements = [requirement('XX-01'), requirement('XX-02')]
    const { problems, onlySkipped } = judge(requirements, [...skipped, covering(named('XX-02'))])
    expect(problems).toEqual([])
    expect(onlySkipped).toEqual(['XX-01'])
  })
})

describe('the page', () => {
  const rows = [
    requirement('XX-01', { revisions: ['2026-07-28'], scenarios: ['auth/passes'], text: 'This | that.' }),
    requirement('XX-02', { level: 'own', not_applicable: 'There is none.' }),
  ]

  test('has id, level, text, source with revisions, files and scenarios, and totals', () => {
    const page = coveragePage(judge(rows, [covering(named('XX-01'))]))
    expect(page).toContain(
      `| XX-01 | MUST | This \\| that. | RFC 1 §2 (in 2026-07-28) | [test/a](../test/a.test.ts), \`auth/passes\` |`,
    )
    expect(page).toContain('| does not apply: There is none. |')
    expect(page).toContain('| all | 2 | 1 | 1 |')
  })

  test('is the same whether tests were run or skipped, and in whatever order', () => {
    const tests = ['test/b.test.ts', 'test/a.test.ts'].map((file) => covering(named('XX-01'), 'passed', file))
    const skipped = tests.map((each) => ({ ...each, status: 'skipped' })).reverse()
    expect(coveragePage(judge(rows, tests))).toBe(coveragePage(judge(rows, skipped)))
  })
})
