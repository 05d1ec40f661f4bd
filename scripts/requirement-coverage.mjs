// Which test covers which requirement: a judgement and a page, from data alone.

/** As it stands in the name of a test: `[ISS-02]`. */
const ID_IN_NAME = /\[([A-Z]+-\d{2})\]/g
const ID = /^[A-Z]+-\d{2}$/
const LEVELS = ['MUST', 'MUST NOT', 'SHOULD', 'SHOULD NOT', 'MAY', 'own']

/**
 * @param sections of conformance/requirements.json
 * @param tests each `{ file, name, status }`, the file as written on the page
 * @param scenarios names of the scenarios of the official suite that pass
 * @returns `problems`, one sentence each; `onlySkipped`, the ids that this machine could not run a test of;
 *   `filesById`, the test files of each id, in order
 */
export function judgeCoverage({ sections, tests, scenarios }) {
  const requirements = sections.flatMap((section) => section.requirements)
  const problems = requirements.flatMap((requirement) => flawsOf(requirement, scenarios))
  const known = new Map(requirements.map((requirement) => [requirement.id, requirement]))
  for (const { id } of requirements.filter((each, index) => isRepeated(requirements, each, index))) {
    problems.push(`${id} stands twice in the requirements.`)
  }
  const testsById = new Map(requirements.map(({ id }) => [id, []]))
  for (const test of tests) {
    for (const id of new Set([...test.name.matchAll(ID_IN_NAME)].map(([, id]) => id))) {
      if (testsById.has(id)) testsById.get(id).push(test)
      else problems.push(`${id} is no requirement, but is named by a test: ${place(test)}`)
    }
  }
  const onlySkipped = []
  for (const [id, covering] of testsById) {
    const reason = known.get(id).not_applicable
    for (const test of covering.filter(({ status }) => status === 'failed')) {
      problems.push(`${id} fails: ${place(test)}`)
    }
    if (reason !== undefined && covering.length > 0) {
      problems.push(`${id} is said not to apply, but is named by a test: ${place(covering[0])}`)
    }
    if (reason !== undefined || covering.some(({ status }) => status === 'passed')) continue
    if (covering.length === 0) problems.push(`${id} has no test, and no reason for not applying.`)
    else if (covering.every(({ status }) => status !== 'failed')) onlySkipped.push(id)
  }
  const filesById = new Map(
    [...testsById].map(([id, covering]) => [id, [...new Set(covering.map(({ file }) => file))].sort()]),
  )
  return { problems, onlySkipped, filesById }
}

/** The page: the same for the same requirements and test names, whatever was skipped. */
export function coveragePage({ sections, filesById }) {
  const requirements = sections.flatMap((section) => section.requirements)
  return `${[
    '# Specification coverage',
    'What the MCP authorization specification and the RFCs beneath it ask of a client, and the tests that fail when latchkey does not do it. A test carries the ids of its requirements in its name: `npx vitest run -t "\\[ISS-02\\]"` runs those of one. Scenarios of the official conformance suite stand beside the tests where they look at the same; their results are in [conformance.md](conformance.md).',
    'The level is the one of the source. `own` is what follows from the source, or from what servers do, without being written there. Revisions are named where a requirement is not in all of them.',
    'Written by `npm run spec-coverage -- --write` from [conformance/requirements.json](../conformance/requirements.json) and the last test run. Change these, not this page.',
    table(['level', 'requirements', 'covered by tests', 'not applicable'], totals(requirements)),
    ...sections.flatMap(({ title, requirements: rows }) => [
      `## ${title}`,
      table(
        ['id', 'level', 'requirement', 'source', 'tests'],
        rows.map((row) => [row.id, row.level, row.text, sourceOf(row), evidence(row, filesById)]),
      ),
    ]),
  ].join('\n\n')}\n`
}

function flawsOf({ id, level, text, source, scenarios: named = [], not_applicable: reason }, scenarios) {
  const flaws = []
  if (!ID.test(id)) flaws.push(`${id} is no id: capital letters, a hyphen, two digits.`)
  if (!LEVELS.includes(level))
    flaws.push(`${id} has the level ${level}, expected one of ${LEVELS.join(', ')}.`)
  if (!text || !source) flaws.push(`${id} has no text or no source.`)
  if (reason !== undefined && reason.trim() === '') flaws.push(`${id} has an empty reason for not applying.`)
  for (const scenario of named) {
    if (!scenarios.includes(scenario))
      flaws.push(`${id} names the scenario ${scenario}, which does not pass.`)
  }
  return flaws
}

const isRepeated = (all, { id }, index) => all.findIndex((each) => each.id === id) < index
const place = ({ file, name }) => `${file}: ${name}`

function totals(requirements) {
  const count = (rows) => [
    rows.length,
    rows.filter(({ not_applicable }) => not_applicable === undefined).length,
    rows.filter(({ not_applicable }) => not_applicable !== undefined).length,
  ]
  const present = LEVELS.filter((level) => requirements.some((row) => row.level === level))
  return [
    ...present.map((level) => [level, ...count(requirements.filter((row) => row.level === level))]),
    ['all', ...count(requirements)],
  ]
}

function sourceOf({ source, revisions }) {
  return revisions ? `${source} (in ${revisions.join(', ')})` : source
}

function evidence({ id, not_applicable: reason, scenarios = [] }, filesById) {
  if (reason !== undefined) return `does not apply: ${reason}`
  const files = filesById.get(id).map((file) => `[${file.replace(/\.test\.ts$/, '')}](../${file})`)
  return [...files, ...scenarios.map((scenario) => `\`${scenario}\``)].join(', ')
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}
