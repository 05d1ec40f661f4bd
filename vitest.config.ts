import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { CAMPAIGNS } from './scripts/campaigns.mjs'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Minutes of their own, in CI always: whole programs against hostile servers by the hundred, races, kills and stops.
    exclude:
      process.env.LATCHKEY_TEST_ALL === '1'
        ? []
        : ['test/hostile/**', 'test/leaks*.test.ts', ...CAMPAIGNS.map((name) => `test/${name}.test.ts`)],
    globalSetup: ['./test/fixtures/test-run.ts'],
    reporters: ['default', './test/report-file.ts', './test/connection-reporter.ts', './test/skip-reporter.ts'],
    // Most tests wait for locks, processes and sockets, and leave the processors to others meanwhile.
    maxWorkers: Math.max(3, availableParallelism()),
    // Real servers, processes and browsers on a small machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
  },
})
