// Every promise of SECURITY.md names tests, and these passed in the last run of all tests.
import { readFileSync } from 'node:fs'
import { testsOfTheLastRun } from './last-test-run.mjs'
import { judgePromises } from './security-promises.mjs'

const page = readFileSync(new URL('../SECURITY.md', import.meta.url), 'utf8')
const { problems, promises, named } = judgePromises({ page, tests: testsOfTheLastRun() })
for (const problem of problems) console.error(problem)
console.log(`security: ${promises} promises, ${named} tests named for them, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
