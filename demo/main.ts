/**
 * The whole story on one machine: an authorization server and a protected MCP server on loopback, a sign-in through the
 * browser (or through a stand-in where there is none), a tool call, and a second run that asks nobody.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startAuthorizationServer } from '../test/fixtures/authorization-server.ts'
import { startMcpServer } from '../test/fixtures/mcp-server.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const command = join(root, 'dist/bin.cjs')
const standIn = join(root, 'test/fixtures/consent-browser.mjs')

const authorizationServer = await startAuthorizationServer()
const server = await startMcpServer({
  protect: {
    kind: 'oauth',
    authorizationServers: [authorizationServer.issuer],
    verify: authorizationServer.verifyAccessToken,
    scopesSupported: ['mcp:read', 'mcp:write'],
  },
})
const home = await mkdtemp(join(tmpdir(), 'latchkey-demo-'))
const config = join(home, 'mcp.json')
await writeFile(config, JSON.stringify({ mcpServers: { demo: { url: server.url } } }, null, 2), {
  mode: 0o600,
})

const hasBrowser =
  process.platform !== 'linux' ||
  Boolean(process.env.BROWSER || process.env.DISPLAY || process.env.WAYLAND_DISPLAY)

try {
  say('A protected MCP server and its authorization server are running on this machine:')
  say(`  ${server.url}`)
  say(`  ${authorizationServer.issuer}`)
  if (hasBrowser)
    say('Your browser is about to open. Sign in with any name and password, then allow the access.')
  else say('There is no browser here, so a stand-in signs in as alice and allows the access.')

  // Where the output goes to a file, latchkey would not ask anybody by itself.
  await latchkey('login', 'demo', ...(process.stderr.isTTY ? [] : ['--interactive', 'always']))
  await latchkey('call', 'demo', 'whoami')
  say('')
  say('The second run: another process, the same login.')
  authorizationServer.requests.clear()
  await latchkey('call', 'demo', 'echo', 'text=hello again')
  await latchkey('status', 'demo')
  const asked = authorizationServer.requests.length
  say('')
  say(`Requests to the authorization server in the second run: ${asked}. No browser was opened.`)
  process.exitCode = asked === 0 ? 0 : 1
} finally {
  await Promise.all([server.close(), authorizationServer.close()])
  await rm(home, { recursive: true, force: true })
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Runs the command as a person would, and stops the demo when it fails. */
async function latchkey(...argv: string[]): Promise<void> {
  say('')
  say(`$ latchkey ${argv.map((word) => (/\s/.test(word) ? JSON.stringify(word) : word)).join(' ')}`)
  const child = spawn(process.execPath, [command, ...argv, '--config', config], {
    stdio: 'inherit',
    env: {
      ...process.env,
      LATCHKEY_HOME: join(home, 'store'),
      ...(!hasBrowser && { BROWSER: standIn, CONSENT_BROWSER_USER: 'alice' }),
    },
  })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`latchkey ${argv[0]} ended with exit code ${code}`)
}
