// Looks at the package as it would be published: publint, are-the-types-wrong, and a strict compile of its declarations.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'latchkey-package-'))
const run = (file, ...argv) => execFileSync(file, argv, { cwd: root, stdio: 'inherit' })
try {
  run('npm', 'pack', '--silent', '--pack-destination', scratch)
  const tarball = join(scratch, 'latchkey-0.1.0.tgz')
  run('npx', 'publint', 'run', tarball, '--strict')
  // The package is ES modules only; Node 20.19 and later can `require` them.
  run('npx', 'attw', tarball, '--profile', 'esm-only')
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
