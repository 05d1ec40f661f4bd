import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connectionReport } from './connection-reporter.ts'
import { finished } from './fixtures/built-command.ts'
import { startLoopbackServer } from './fixtures/loopback-server.ts'
import { WATCHED } from './fixtures/watched.ts'

/** What a run says of a process that connects to a server as `connect` does. */
async function watched(connect: (port: string) => string) {
  const run = await mkdtemp(join(tmpdir(), 'latchkey-watch-'))
  const server = await startLoopbackServer(undefined, { intercept: () => ({ body: 'x' }) })
  const { port } = new URL(server.origin)
  const env = { PATH: process.env.PATH, ...WATCHED, LATCHKEY_TEST_RUN: run }
  const ended = await finished(spawn(process.execPath, ['--input-type=module', '-e', connect(port)], { env }))
  const report = connectionReport(run)
  await Promise.all([server.close(), rm(run, { recursive: true, force: true })])
  return { ...report, port, code: ended.code }
}

const decide = (decision: string) =>
  `import { channel } from 'node:diagnostics_channel'
   channel('latchkey:connection').publish(${decision});`

test('a connection that nothing decided about fails the run and is named, however it is made', async () => {
  for (const connect of [
    (port: string) => `await (await fetch('http://127.0.0.1:${port}/')).text()`,
    (port: string) => `import { get } from 'node:http'; get('http://127.0.0.1:${port}/', (r) => r.resume())`,
    (port: string) => `import net from 'node:net'; net.connect(${port}, '127.0.0.1').end()`,
  ]) {
    const { undecided, lines, port, code } = await watched(connect)
    expect(code).toBe(0)
    expect(undecided).toBe(1)
    expect(lines.join()).toContain(`connected to 127.0.0.1:${port}`)
  }
})

test('so does one to an address of a name that was not judged', async () => {
  const { undecided, lines } = await watched(
    (port) => `${decide(`{ hostname: 'localhost', port: ${port} }`)}
      ${decide("{ hostname: 'localhost', addresses: ['10.0.0.1'] }").replace(/^import.*$/m, '')}
      await (await fetch('http://localhost:${port}/')).text()`,
  )
  expect(undecided).toBe(1)
  expect(lines[1]).toContain('localhost at 127.0.0.1')
})

test('one that was decided about is counted', async () => {
  const { undecided, lines } = await watched(
    (port) => `${decide(`{ hostname: '127.0.0.1', port: ${port} }`)}
      await (await fetch('http://127.0.0.1:${port}/')).text()`,
  )
  expect(undecided).toBe(0)
  expect(lines).toEqual(['connections: 1 of 1 processes, 0 without a decision'])
})
