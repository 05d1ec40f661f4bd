import type { NamedTest } from './requirement-coverage.mjs'

export function judgePromises(data: { page: string; tests: NamedTest[] }): {
  problems: string[]
  promises: number
  named: number
}
