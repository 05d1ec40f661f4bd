// The last run of all tests (`npm run test:all`), from the report that it writes.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const REPORT = 'build/test-report.json'

/** Each test as `{ file, name, status }`. Ends the process where the report is missing or older than a test file. */
export function testsOfTheLastRun() {
  if (!existsSync(join(root, REPORT))) stop(`${REPORT} is not there: run npm run test:all first.`)
  const { testResults } = JSON.parse(readFileSync(join(root, REPORT), 'utf8'))
  const ran = testResults.map(({ name }) => relative(root, name).split(sep).join('/'))
  const written = statSync(join(root, REPORT)).mtimeMs
  const late = testFiles().find((file) => !ran.includes(file) || statSync(join(root, file)).mtimeMs > written)
  if (late !== undefined) stop(`${REPORT} does not know ${late} as it is now: run npm run test:all first.`)
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

function stop(why) {
  console.error(why)
  process.exit(1)
}
