// Compares conformance/requirements.json with the last test run (build/test-report.json, which `npm run test:all` writes): every
// requirement has a passing test or a reason for not applying. `--write` writes docs/spec-coverage.md; without it the page
// has to be what would be written.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testsOfTheLastRun } from './last-test-run.mjs'
import { coveragePage, judgeCoverage } from './requirement-coverage.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const PAGE = 'docs/spec-coverage.md'
const read = (path) => readFileSync(join(root, path), 'utf8')

const { sections } = JSON.parse(read('conformance/requirements.json'))
const tests = testsOfTheLastRun()
const { problems, onlySkipped, filesById } = judgeCoverage({ sections, tests, scenarios: passingScenarios() })
const page = coveragePage({ sections, filesById })

if (process.argv.includes('--write') && problems.length === 0) writeFileSync(join(root, PAGE), page)
else if (problems.length === 0 && (!existsSync(join(root, PAGE)) || read(PAGE) !== page)) {
  problems.push(`${PAGE} is not what these tests say. Write it anew: npm run spec-coverage -- --write`)
}

for (const problem of problems) console.error(problem)
if (onlySkipped.length > 0)
  console.log(`only covered by tests that were skipped here: ${onlySkipped.join(', ')}`)
const applying = sections.flatMap(({ requirements }) => requirements).filter((each) => !each.not_applicable)
console.log(
  `spec coverage: ${applying.length} requirements with tests, ${filesById.size - applying.length} that do not apply, ${problems.length} problems`,
)
process.exitCode = problems.length === 0 ? 0 : 1

/** As the page of the official suite has them. */
function passingScenarios() {
  const rows = [...read('docs/conformance.md').matchAll(/^\| [\d-]+ \| (\S+) \| (\w+) \|/gm)]
  const missed = rows.filter(([, , result]) => result !== 'pass').map(([, scenario]) => scenario)
  return rows.map(([, scenario]) => scenario).filter((scenario) => !missed.includes(scenario))
}
