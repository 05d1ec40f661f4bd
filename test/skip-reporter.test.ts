import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const PROGRAM = `
  const { startVitest } = await import('vitest/node')
  const vitest = await startVitest('test', [], {
    config: false, watch: false, include: ['test/skip-reporter-sample.ts'], reporters: ['default', './test/skip-reporter.ts'],
  })
  await vitest.close()
`

function runSample(env: Record<string, string>) {
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    cwd: join(import.meta.dirname, '..'),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    encoding: 'utf8',
  })
  return { status: run.status, lastLine: run.stdout.trimEnd().split('\n').at(-1) }
}

test('the last line of a run names what was missing and how many tests that cost', {
  timeout: 30_000,
}, () => {
  expect(runSample({ SAMPLE_SKIPS_BY_HAND: '1' })).toEqual({
    status: 0,
    lastLine: 'skipped: by hand (1), redis (2)',
  })
})

test('where all is required, tests of what is missing fail one by one', { timeout: 30_000 }, () => {
  expect(runSample({ LATCHKEY_TEST_REQUIRE: 'all' })).toEqual({ status: 1, lastLine: 'skipped: none' })
})

test('where all is required, a test skipped by hand fails the run', { timeout: 30_000 }, () => {
  const env = { LATCHKEY_TEST_REQUIRE: 'all', SAMPLE_SKIPS_BY_HAND: '1', SAMPLE_HAS_ALL: '1' }
  expect(runSample(env)).toEqual({ status: 1, lastLine: 'skipped: by hand (1)' })
})
