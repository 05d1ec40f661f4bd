import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Ends a test run with one line that names what was not tested: `skipped: chromium (12), strace (3)`, or `skipped: none`.
 * Under `LATCHKEY_TEST_REQUIRE=all` a skipped test fails the run.
 */
export default class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const name = requirementOf(test)
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    }
    const parts = [...counts].sort().map(([name, count]) => `${name} (${count})`)
    process.stdout.write(`skipped: ${parts.join(', ') || 'none'}\n`)
    if (parts.length > 0 && process.env.LATCHKEY_TEST_REQUIRE === 'all') process.exitCode = 1
  }
}

/** The note stands on the suite that asked for it; a test without one was skipped by hand. */
function requirementOf(test: TestCase): string {
  for (let task: TestCase | TestCase['parent'] = test; task.type !== 'module'; task = task.parent) {
    const name = task.meta().requires
    if (name !== undefined) return name
  }
  return 'by hand'
}
