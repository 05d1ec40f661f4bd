/**
 * A latchkey whose home is a small disk of its own: `LATCHKEY_HOME=HOME node disk-child.mjs HOME SERVER_URL`, then one
 * command a line. Meant to run in a mount namespace where HOME is a tmpfs.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createLatchkey } from '../src/latchkey.ts'
import { McpClient } from '../src/mcp/client.ts'
import { platformThrough } from './fixtures/platform-through.ts'
import { changeStoredLogins, expired } from './fixtures/stored-logins.ts'

const [home = '', url = ''] = process.argv.slice(2)
const filler = join(home, 'filler')
let fillAfterAnswer = false

let opened = 0
const options = {
  interactive: 'always' as const,
  onEvent: ({ type }: { type: string }) => {
    if (type === 'authorization_started') opened += 1
  },
}
const platform = platformThrough(async (url, send) => {
  const response = await send()
  if (fillAfterAnswer && url.endsWith('/token')) fill()
  return response
})
const latchkey = createLatchkey(platform)
const client = new McpClient(
  { mcpServers: { demo: { url } } },
  { ...options, runtime: latchkey.runtime(options), platform, version: '0' },
)

/** Until not one more byte fits. */
function fill(): void {
  const file = openSync(filler, 'a')
  try {
    for (;;) writeSync(file, Buffer.alloc(4096))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
}

const remount = (how: string) => execFileSync('mount', ['-o', `remount,${how}`, home])

const commands: Record<string, () => unknown> = {
  login: () => latchkey.login({ name: 'demo', url }, options),
  call: async () => (await client.createSession('demo')).callTool('whoami'),
  expire: () => changeStoredLogins(home, expired),
  fill,
  'fill-after-answer': () => {
    fillAfterAnswer = true
  },
  free: () => {
    fillAfterAnswer = false
    rmSync(filler, { force: true })
  },
  'read-only': () => remount('ro'),
  writable: () => remount('rw'),
  digest: () =>
    createHash('sha256')
      .update(readFileSync(join(home, 'tokens', `${new URL(url).host.replace(':', '_')}.json`)))
      .digest('hex'),
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await Promise.resolve()
    .then(() => commands[line]!())
    .then(
      (value) => ({ value: value ?? null }),
      (error: { code?: string; message?: string }) => ({ code: error.code, message: error.message }),
    )
  process.stdout.write(`${JSON.stringify({ ...answer, opened })}\n`)
}
await client.closeAllSessions()
