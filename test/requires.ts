import { beforeEach, describe } from 'vitest'

/** What not every machine has. */
export type Requirement =
  | 'chromium'
  | 'strace'
  | 'proc'
  | 'root'
  | 'postgres'
  | 'redis'
  | 'secret-service'
  | 'node-lts'
  | 'ipv6'
  | 'network-namespace'
  | 'mount-namespace'
  | 'root'

declare module 'vitest' {
  interface TaskMeta {
    /** What a suite needs beyond Node; `skip-reporter.ts` counts by it. */
    requires?: string
  }
}

type DescribeSuite = (title: string, tests: () => void) => void

/**
 * `describe` for tests that need more than Node. Where it is missing they are skipped and counted in the last line of the
 * run (`skipped: chromium (12)`); under `LATCHKEY_TEST_REQUIRE=all` they fail instead.
 *
 * @example requires('strace', existsSync('/usr/bin/strace'))('modes under strace', () => { test(…) })
 */
export function requires(name: Requirement, available: boolean): DescribeSuite {
  if (available) return (title, tests) => describe(title, tests)
  if (process.env.LATCHKEY_TEST_REQUIRE !== 'all') {
    return (title, tests) => describe.skip(title, { meta: { requires: name } }, tests)
  }
  return (title, tests) =>
    describe(title, () => {
      beforeEach(() => {
        throw new Error(`${name} is missing, and LATCHKEY_TEST_REQUIRE=all makes that a failure`)
      })
      tests()
    })
}
