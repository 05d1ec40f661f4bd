/**
 * Fuzzes what comes from strangers at full length: `npm run fuzz:long`. `-- --inputs N` (default 1,000,000 a target),
 * `--seed S` repeats a run, `--target T` runs one target. Each target has a process of its own, two at a time. Prints what
 * it took; a failure is printed with its smallest input, and the exit code is 1.
 */
import { fork } from 'node:child_process'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'

const TARGETS = ['challenge', 'metadata', 'token-answer', 'callback', 'stored-file', 'config']
const AT_A_TIME = 2
/** A chunk of inputs takes seconds, minutes on a busy machine; who says nothing for so long hangs, in milliseconds. */
const SILENCE = 900_000

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    target: { type: 'string', multiple: true, default: TARGETS },
  },
})
const unknown = values.target.find((name) => !TARGETS.includes(name))
if (unknown !== undefined || ![values.inputs, values.seed].every((number) => /^\d{1,9}$/.test(number))) {
  console.error(`--inputs and --seed are numbers, --target is one of ${TARGETS.join(', ')}.`)
  process.exit(2)
}

/** What needs more ends the process. */
const HEAP = ['--max-old-space-size=192', '--max-semi-space-size=8']

const root = fileURLToPath(new URL('..', import.meta.url))
// Of this run alone: another may be going on.
const folder = join(root, 'build', 'fuzz', String(process.pid))
const program = join(folder, 'fuzz.mjs')
await mkdir(folder, { recursive: true })
await build({
  absWorkingDir: root,
  entryPoints: { fuzz: 'test/fuzz/fuzz-program.ts' },
  outdir: folder,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
  mainFields: ['module', 'main'],
  external: ['fast-check'],
})

/** Runs one target in a process of its own. */
async function run(target, { inputs, seed, trace = [] }) {
  const seeds = new URL('../test/fuzz/seeds/', import.meta.url).href
  const child = fork(
    program,
    [...['--target', target, '--inputs', String(inputs), '--seed', String(seed), '--seeds', seeds], ...trace],
    { execArgv: HEAP },
  )
  let report
  let at = { seed, done: 0 }
  let hangs = false
  const watch = setTimeout(() => {
    hangs = true
    child.kill('SIGKILL')
  }, SILENCE)
  child.on('message', (message) => {
    watch.refresh()
    if (message.report) report = message.report
    else at = message
  })
  const [code] = await new Promise((resolve) => child.once('exit', (...how) => resolve(how)))
  clearTimeout(watch)
  if (report) return report
  if (hangs && trace.length === 0) return hung(target, at)
  const failure = hangs ? 'hangs' : `the process ended with ${code}`
  return {
    target,
    inputs: at.done,
    seconds: Number.NaN,
    slowest: Number.NaN,
    memory: Number.NaN,
    seed: at.seed,
    failure,
  }
}

/** Once more from where it stopped, with every input written down before it is read: the last one is it. */
async function hung(target, at) {
  const file = join(folder, `${target}.trace`)
  await rm(file, { force: true })
  const report = await run(target, { inputs: 5000, seed: at.seed, trace: ['--trace', file] })
  const last = (await readFile(file, 'utf8')).trimEnd().split('\n').at(-1)
  return { ...report, inputs: at.done, failure: `hangs with seed ${at.seed} at the input ${last}` }
}

const line = ({ target, inputs, seconds, slowest, memory, seed, failure }) =>
  [
    target.padEnd(14),
    String(inputs).padStart(9),
    seconds.toFixed(1).padStart(9),
    slowest.toFixed(1).padStart(12),
    memory.toFixed(0).padStart(10),
    String(seed).padStart(11),
    (failure === undefined ? '0' : '1').padStart(9),
  ].join('')

console.log('target           inputs  seconds  slowest ms  memory MB       seed failures')
const waiting = [...values.target]
const reports = []
const worker = async () => {
  for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
    const report = await run(target, { inputs: Number(values.inputs), seed: Number(values.seed) })
    reports.push(report)
    console.log(line(report))
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, worker))
await rm(folder, { recursive: true, force: true })
for (const { target, slowestInput } of reports) console.log(`slowest of ${target}: ${slowestInput}`)
for (const { target, failure } of reports) if (failure !== undefined) console.error(`\n${target}: ${failure}`)
process.exitCode = reports.some(({ failure }) => failure !== undefined) ? 1 : 0
