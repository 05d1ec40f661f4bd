// Builds dist/: the library's entries and the command as ES modules that share chunks, bundled copies of the MCP SDK (for
// installs without it) and of undici's connections, the small CommonJS entry of the command, and the declarations.
// `--demo` adds build/.
import { execFileSync } from 'node:child_process'
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const shared = {
  absWorkingDir: root,
  bundle: true,
  target: 'node20',
  charset: 'utf8',
  logLevel: 'warning',
  // jsonc-parser's UMD build cannot be bundled; its ES module can.
  mainFields: ['module', 'main'],
}

/** Files of their own: nothing loads the SDK before a session is opened, nor undici before the first request. */
const apart = {
  name: 'apart',
  setup(builder) {
    builder.onResolve({ filter: /\/bundled-(sdk|undici)\.ts$/ }, ({ path }) => ({
      path: `./${path.match(/bundled-(\w+)/)[1]}.js`,
      external: true,
    }))
  },
}

await rm(new URL('../dist', import.meta.url), { recursive: true, force: true })
await Promise.all([
  build({
    ...shared,
    entryPoints: {
      node: 'src/node.ts',
      index: 'src/index.ts',
      cli: 'src/command.ts',
      keychain: 'src/keychain.ts',
      redis: 'src/stores/redis.ts',
      postgres: 'src/stores/postgres.ts',
      'store-contract': 'src/stores/store-contract.ts',
    },
    outdir: 'dist',
    format: 'esm',
    platform: 'neutral',
    splitting: true,
    chunkNames: 'chunk-[hash]',
    external: ['node:*', 'ipaddr.js', 'oauth4webapi', 'jsonc-parser', '@modelcontextprotocol/*'],
    plugins: [apart],
  }),
  build({
    ...shared,
    entryPoints: { sdk: 'src/node/bundled-sdk.ts', undici: 'src/node/bundled-undici.ts' },
    outdir: 'dist',
    format: 'esm',
    platform: 'node',
    minify: true,
    // Their CommonJS files ask for Node's modules by `require`.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    legalComments: 'none',
  }),
  build({
    ...shared,
    entryPoints: { bin: 'src/bin.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    platform: 'node',
    banner: { js: '#!/usr/bin/env node' },
    external: ['./cli.js'],
  }),
])
await chmod(new URL('../dist/bin.cjs', import.meta.url), 0o755)

const tsc = createRequire(import.meta.url)
  .resolve('typescript/package.json')
  .replace('package.json', 'bin/tsc')
execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
await forgiveMissingSdk('dist/types')

if (process.argv.includes('--demo')) {
  await build({
    ...shared,
    entryPoints: { demo: 'demo/main.ts', example: 'demo/example.ts' },
    outdir: 'build',
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    platform: 'node',
    packages: 'external',
  })
}

/** Without the optional peer its types are `any`, instead of an error in the program of whoever installs latchkey. */
async function forgiveMissingSdk(folder) {
  for (const file of await readdir(join(root, folder), { recursive: true })) {
    if (!file.endsWith('.d.ts')) continue
    const path = join(root, folder, file)
    const text = await readFile(path, 'utf8')
    const forgiving = text.replace(/^import .*'@modelcontextprotocol\/client[^']*';$/gm, '// @ts-ignore\n$&')
    if (forgiving !== text) await writeFile(path, forgiving)
  }
}
