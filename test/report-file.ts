import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { JsonReporter } from 'vitest/node'

const REPORT = 'build/test-report.json'

/** The report that `npm run spec-coverage` reads. Says nothing, so that the last line of a run stays the one about skips. */
export default class ReportFile extends JsonReporter {
  constructor() {
    super({})
  }

  override async writeReport(report: string): Promise<void> {
    const path = resolve(this.ctx.config.root, REPORT)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, report)
  }
}
