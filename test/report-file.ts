import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { JsonReporter, type TestModule } from 'vitest/node'

const REPORT = 'build/test-report.json'

/**
 * The report of a whole run, for `npm run spec-coverage`; a run of some tests leaves the last one as it is. Says nothing, so
 * that the last line of a run stays the one about skips.
 */
export default class ReportFile extends JsonReporter {
  constructor() {
    super({})
  }

  override async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    const all = await this.ctx.globTestSpecifications()
    if (modules.length < all.length || this.ctx.config.testNamePattern) return
    await super.onTestRunEnd(modules)
  }

  override async writeReport(report: string): Promise<void> {
    const path = resolve(this.ctx.config.root, REPORT)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, report)
  }
}
