// What came of each test file when it was run last (`npm run test:all` runs all), from the report that a run writes.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const REPORT = 'build/test-report.json'

/** Each test as `{ file, name, status }`. Ends the process where a test file was not run as it is now. */
export function testsOfTheLastRun() {
  if (!existsSync(join(root, REPORT))) stop(`${REPORT} is not there: run npm run test:all first.`)
  const { testResults } = JSON.parse(readFileSync(join(root, REPORT), 'utf8'))
  const results = new Map(
    testResults.map((result) => [relative(root, result.name).split(sep).join('/'), result]),
  )
  const late = testFiles().find(
    (file) => !(statSync(join(root, file)).mtimeMs < results.get(file)?.startTime),
  )
  if (late !== undefined) stop(`${REPORT} does not know ${late} as it is now: run npm run test:all first.`)
  return [...results].flatMap(([file, { assertionResults }]) =>
    assertionResults.map(({ fullName, status }) => ({ file, name: fullName, status })),
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
