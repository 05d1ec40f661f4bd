// Compares conformance/requirements.json with the last test run (build/test-report.json, which `npm test` writes): every
// requirement has a passing test or a reason for not applying. `--write` writes docs/spec-coverage.md; without it the page
// has to be what would be written.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { coveragePage, judgeCoverage } from './requirement-coverage.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const REPORT = 'build/test-report.json'
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

function testsOfTheLastRun() {
  if (!existsSync(join(root, REPORT))) stop(`${REPORT} is not there: run npm test first.`)
  const { testResults } = JSON.parse(read(REPORT))
  const ran = testResults.map(({ name }) => relative(root, name).split(sep).join('/'))
  const written = statSync(join(root, REPORT)).mtimeMs
  const late = testFiles().find((file) => !ran.includes(file) || statSync(join(root, file)).mtimeMs > written)
  if (late !== undefined) stop(`${REPORT} does not know ${late} as it is now: run npm test first.`)
  return testResults.flatMap(({ assertionResults }, index) =>
    assertionResults.map(({ fullName, status }) => ({ file: ran[index], name: fullName, status })),
  )
}

function testFiles() {
  return ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => [folder, ...name.split(sep)].join('/')),
  )
}

/** As the page of the official suite has them. */
function passingScenarios() {
  const rows = [...read('docs/conformance.md').matchAll(/^\| [\d-]+ \| (\S+) \| (\w+) \|/gm)]
  const missed = rows.filter(([, , result]) => result !== 'pass').map(([, scenario]) => scenario)
  return rows.map(([, scenario]) => scenario).filter((scenario) => !missed.includes(scenario))
}

function stop(why) {
  console.error(why)
  process.exit(1)
}
