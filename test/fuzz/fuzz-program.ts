import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { fuzz, seedsOf } from './fuzz-run.ts'
import { FUZZ_TARGETS } from './targets.ts'

// One target at full length, in a process of its own: `scripts/fuzz.mjs` starts it. Says on its channel which seed it is
// at, so that somebody outside sees it hang, and at the end what came of it.

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    inputs: { type: 'string' },
    seed: { type: 'string' },
    seeds: { type: 'string' },
    /** Where each input is written before it is read. */
    trace: { type: 'string' },
  },
})
const target = FUZZ_TARGETS.find(({ name }) => name === values.target)
if (!target) throw new Error(`There is no target ${values.target}.`)
const { trace } = values
const report = await fuzz(target, {
  inputs: Number(values.inputs),
  seed: Number(values.seed),
  seeds: seedsOf(new URL(values.seeds!), target.name),
  onChunk: (seed, done) => process.send?.({ seed, done }),
  ...(trace !== undefined && { onInput: (input) => appendFileSync(trace, `${JSON.stringify(input)}\n`) }),
})
process.send?.({ report })
process.disconnect?.()
