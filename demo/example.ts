/** `npm run example -- NAME`: runs one program of `examples/` against servers of its own on this machine. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { EXAMPLES } from '../test/fixtures/example-servers.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const name = process.argv[2] ?? ''
const start = Object.hasOwn(EXAMPLES, name) ? EXAMPLES[name] : undefined
if (!start) {
  process.stderr.write(`npm run example -- NAME, where NAME is one of: ${Object.keys(EXAMPLES).join(', ')}\n`)
  process.exit(2)
}

const folder = await mkdtemp(join(tmpdir(), 'latchkey-example-'))
const servers = await start(folder)
try {
  // Below the package, where `latchkey` is this package itself.
  const program = join(root, 'build', `example-${name}.mjs`)
  await build({
    entryPoints: [join(root, 'examples', `${name}.ts`)],
    outfile: program,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  })
  process.stdout.write(`examples/${name}.ts against ${servers.server.url}\n\n`)
  const hasBrowser =
    process.platform !== 'linux' ||
    Boolean(process.env.BROWSER || process.env.DISPLAY || process.env.WAYLAND_DISPLAY)
  const BROWSER = join(root, 'test/fixtures/consent-browser.mjs')
  const child = spawn(process.execPath, [program], {
    stdio: 'inherit',
    env: { ...process.env, ...servers.env, LATCHKEY_HOME: folder, ...(!hasBrowser && { BROWSER }) },
  })
  process.exitCode = await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
  const { authorizationServer, identityProvider, server } = servers
  process.stdout.write('\nWhat was asked:\n')
  for (const [who, { requests }] of Object.entries({ identityProvider, authorizationServer, server })
    .filter(([, each]) => each !== undefined)
    .map(([who, each]) => [who, each!] as const)) {
    for (const { method, pathname, status } of requests) {
      process.stdout.write(`  ${who.padEnd(20)} ${method.padEnd(5)} ${pathname} ${status}\n`)
    }
  }
} finally {
  await servers.close()
  await rm(folder, { recursive: true, force: true })
}
