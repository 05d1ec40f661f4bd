import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { JsonReporter, type TestModule } from 'vitest/node'

const REPORT = 'build/test-report.json'

/** Of one file, as `JsonReporter` writes it. */
interface FileResult {
  readonly name: string
}

/**
 * What came of each test file when it was run last, for `npm run spec-coverage`: a run of some files leaves the others as they
 * were. Says nothing, so that the last line of a run stays the one about skips.
 */
export default class ReportFile extends JsonReporter {
  constructor() {
    super({})
  }

  override async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    // Of the files some tests were left out then.
    if (this.ctx.config.testNamePattern) return
    await super.onTestRunEnd(modules)
  }

  override async writeReport(report: string): Promise<void> {
    const path = resolve(this.ctx.config.root, REPORT)
    const { testResults } = JSON.parse(report) as { testResults: FileResult[] }
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, JSON.stringify({ testResults: mergedResults(readResults(path), testResults) }))
  }
}

function readResults(path: string): FileResult[] {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).testResults : []
}

/** By file: the newer ones, and what is still there of the others. */
export function mergedResults<Result extends FileResult>(before: Result[], now: Result[]): Result[] {
  const ran = new Set(now.map(({ name }) => name))
  return [...now, ...before.filter(({ name }) => !ran.has(name) && existsSync(name))]
}
