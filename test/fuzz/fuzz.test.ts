import { expect, test } from 'vitest'
import { fuzz, seedsOf } from './fuzz-run.ts'
import { FUZZ_TARGETS } from './targets.ts'

// A look at every door; `npm run fuzz:long` is the same at full length.

const INPUTS = Number(process.env.LATCHKEY_FUZZ_INPUTS ?? 1500)
const SEED = Number(process.env.LATCHKEY_FUZZ_SEED ?? Date.now() % 1_000_000_000)
const SEEDS = new URL('./seeds/', import.meta.url)

test.each(FUZZ_TARGETS)(
  `S25: $name takes whatever comes, ${INPUTS} inputs from seed ${SEED} after those that once did harm`,
  { timeout: 120_000 },
  async (target) => {
    const seeds = seedsOf(SEEDS, target.name)
    const { failure, inputs } = await fuzz(target, { inputs: INPUTS, seed: SEED, seeds })
    expect(failure).toBeUndefined()
    expect(inputs).toBeGreaterThanOrEqual(INPUTS + seeds.length)
  },
)

test('every target has a name of its own', () => {
  expect(new Set(FUZZ_TARGETS.map(({ name }) => name)).size).toBe(FUZZ_TARGETS.length)
})
