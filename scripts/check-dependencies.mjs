// Compares package-lock.json, and what the build copies into the package, with the table in
// docs/decisions/0001-runtime-dependencies.md: nobody runs a package that nobody looked at. Prints the list.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { judgeDependencies, listedPackages } from './dependency-list.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const LIST = 'docs/decisions/0001-runtime-dependencies.md'
const read = (path) => readFileSync(join(root, path), 'utf8')

const lockfile = JSON.parse(read('package-lock.json'))
const { problems, rows } = judgeDependencies({
  lockfile,
  listed: listedPackages(read(LIST)),
  bundled: await bundledPackages(),
})
const width = Math.max(...rows.map(({ name }) => name.length))
for (const { how, name, version, why } of rows)
  console.log(`${how.padEnd(9)} ${name.padEnd(width)} ${version.padEnd(8)} ${why}`)
for (const problem of problems) console.error(problem)
console.log(`dependencies: ${rows.length} packages, ${problems.length} problems (${LIST})`)
process.exitCode = problems.length === 0 ? 0 : 1

/** The packages whose code ends up in dist/, as paths of the lockfile. */
async function bundledPackages() {
  const { dependencies = {}, peerDependencies = {} } = lockfile.packages['']
  const external = ['node:*', ...Object.keys({ ...dependencies, ...peerDependencies })]
  const entries = ['src/node.ts', 'src/index.ts', 'src/command.ts', 'src/keychain.ts', 'src/bin.ts']
  const stores = ['redis', 'postgres', 'store-contract'].map((name) => `src/stores/${name}.ts`)
  const inputs = [
    ...(await inputsOf([...entries, ...stores], external)),
    ...(await inputsOf(['src/node/bundled-sdk.ts'], ['node:*'])),
  ]
  const packages = inputs.map((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
  return [...new Set(packages.filter((path) => path !== undefined))]
}

async function inputsOf(entryPoints, external) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints,
    external: [...external, './sdk.js', './cli.js'],
    bundle: true,
    metafile: true,
    write: false,
    outdir: 'dist',
    format: 'esm',
    platform: 'node',
    mainFields: ['module', 'main'],
    logLevel: 'error',
  })
  // What is left of it in the output: a file that was read for nothing is not shipped.
  return Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs))
}
