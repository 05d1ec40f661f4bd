/**
 * The campaigns at full length, which take about half an hour: `npm run campaign:long`. `-- --seed N` draws the random
 * moments of an earlier run again; other arguments go to vitest (`-- test/kill-campaign.test.ts`).
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CAMPAIGNS } from './campaigns.mjs'

const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true })
if (values.seed !== undefined && !/^\d{1,10}$/.test(values.seed)) {
  console.error('--seed is the number that a campaign printed.')
  process.exit(2)
}
const files = positionals.length > 0 ? positionals : CAMPAIGNS.map((name) => `test/${name}.test.ts`)
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
// One file at a time: what they measure should be theirs alone.
const { status } = spawnSync(process.execPath, [vitest, 'run', '--no-file-parallelism', ...files], {
  stdio: 'inherit',
  env: {
    ...process.env,
    // Else they are left out.
    LATCHKEY_TEST_ALL: '1',
    LATCHKEY_CAMPAIGN: process.env.LATCHKEY_CAMPAIGN ?? 'long',
    ...(values.seed !== undefined && { LATCHKEY_SEED: values.seed }),
  },
})
process.exitCode = status ?? 1
