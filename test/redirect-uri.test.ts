import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { PortInUseError } from '../src/errors/index.ts'
import { nodePlatform } from '../src/node-platform.ts'
import type { OAuthConfig } from '../src/public.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { parameters } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  type ScriptedAuthorizationServerOptions,
  startScriptedAuthorizationServer,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

// The only test file that may occupy port 8080.

const opened = closedAfterEach()

async function scene(
  options: ScriptedAuthorizationServerOptions = {},
): Promise<{ server: ScriptedAuthorizationServer; bench: Workbench }> {
  const server = await startScriptedAuthorizationServer({ mcp: {}, ...options })
  // The ports themselves are what is looked at.
  const { redirectReceiver } = nodePlatform
  const bench = await openWorkbench({ platform: { redirectReceiver: redirectReceiver! } })
  opened.push(server, bench)
  return { server, bench }
}

/** The redirect URI as it stands in each request that carries one. */
function redirectUris({ requests }: ScriptedAuthorizationServer) {
  return {
    registered: requests.to('/register').map(({ body }) => JSON.parse(body).redirect_uris as string[]),
    authorized: requests.to('/authorize').map(({ query }) => query.get('redirect_uri')),
    exchanged: requests.to('/token').map((request) => parameters(request).redirect_uri),
  }
}

const occupy = `
  const server = require('node:net').createServer()
  const deadline = Date.now() + 5000
  const listen = () => server.listen(Number(process.argv[1]), '127.0.0.1')
  server.on('listening', () => console.log('listening'))
  // Sign-ins of other test files may hold it for a moment.
  server.on('error', () => (Date.now() < deadline ? setTimeout(listen, 20) : console.log('taken')))
  listen()
`

/** Another program that holds the port. Its pid; `undefined` where somebody had the port before us and keeps it. */
async function occupyPort(port: number): Promise<number | undefined> {
  const child = spawn(process.execPath, ['-e', occupy, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  opened.push({
    close: async () => {
      if (child.exitCode !== null) return
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  })
  const [said] = await once(child.stdout, 'data')
  return String(said).trim() === 'listening' ? child.pid : undefined
}

describe('[REDIR-01] the redirect URI is the same, byte for byte, in every request', () => {
  const spellings: [string, (port: number) => OAuthConfig, (port: number) => string][] = [
    [
      'a pinned port on localhost',
      (port) => ({ callback_port: port }),
      (port) => `http://localhost:${port}/callback`,
    ],
    [
      '127.0.0.1',
      (port) => ({ redirect_uri: `http://127.0.0.1:${port}/callback` }),
      (port) => `http://127.0.0.1:${port}/callback`,
    ],
    [
      'localhost written out',
      (port) => ({ redirect_uri: `http://localhost:${port}/callback` }),
      (port) => `http://localhost:${port}/callback`,
    ],
    [
      'a path of its own',
      (port) => ({ redirect_uri: `http://localhost:${port}/oauth/Call-back_~1/` }),
      (port) => `http://localhost:${port}/oauth/Call-back_~1/`,
    ],
    [
      'the root path',
      (port) => ({ redirect_uri: `http://127.0.0.1:${port}/` }),
      (port) => `http://127.0.0.1:${port}/`,
    ],
  ]

  test.each(spellings)('%s, registered dynamically', async (_what, settings, spelt) => {
    const { server, bench } = await scene()
    const port = await freePort()
    const status = await bench.login({ url: server.url, auth: settings(port) })
    const uri = spelt(port)
    expect(status).toMatchObject({ state: 'signed_in', client_kind: 'dynamic', redirect_uri: uri })
    expect(redirectUris(server)).toEqual({ registered: [[uri]], authorized: [uri], exchanged: [uri] })
    expect(bench.told('authorization_started')).toMatchObject([{ redirect_uri: uri }])
  })

  test.each(spellings)('%s, registered by hand', async (_what, settings, spelt) => {
    const port = await freePort()
    const uri = spelt(port)
    const { server, bench } = await scene({ clients: [{ client_id: 'mine', redirect_uris: [uri] }] })
    const status = await bench.login({ url: server.url, auth: { client_id: 'mine', ...settings(port) } })
    expect(status).toMatchObject({ state: 'signed_in', client_kind: 'pre-registered', redirect_uri: uri })
    expect(redirectUris(server)).toEqual({ registered: [], authorized: [uri], exchanged: [uri] })
    expect(bench.told('authorization_started')).toMatchObject([
      { redirect_uri: uri, client_kind: 'pre-registered' },
    ])
  })
})

describe('port 8080 is taken by another program', () => {
  test('a dynamic client goes to the next free port and registers that one', async () => {
    await occupyPort(8080)
    const { server, bench } = await scene()
    const { redirect_uri } = await bench.login({ url: server.url })
    const port = Number(new URL(redirect_uri!).port)
    expect(port).not.toBe(8080)
    expect(redirect_uri).toBe(`http://localhost:${port}/callback`)
    expect(redirectUris(server)).toEqual({
      registered: [[redirect_uri]],
      authorized: [redirect_uri],
      exchanged: [redirect_uri],
    })
    expect(bench.told('redirect_listening')).toMatchObject([{ redirect_uri, instead_of: 8080 }])
  })

  test('[REDIR-04] a pre-registered client fails at once, before any request, naming port, holder and setting', async () => {
    const pid = await occupyPort(8080)
    const { server, bench } = await scene()
    const started = performance.now()
    const error = await failureOf<PortInUseError>(
      bench.login({ url: server.url, auth: { client_id: 'mine', client_secret: 's' } }),
    )
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(error).toMatchObject({ code: 'port_in_use', port: 8080 })
    expect(error.message).toContain('8080')
    expect(error.remedy).toContain('`callback_port`')
    if (pid !== undefined && process.platform === 'linux') {
      expect(error.holder).toBe(`node (pid ${pid})`)
      expect(error.message).toContain(error.holder)
    }
    expect(server.requests).toHaveLength(0)
    expect(bench.browser.opened).toEqual([])
  })
})

test('a pinned port that is taken fails at once, dynamic client or not', async () => {
  const port = await freePort()
  const pid = await occupyPort(port)
  const { server, bench } = await scene()
  const error = await failureOf<PortInUseError>(
    bench.login({ url: server.url, auth: { callback_port: port } }),
  )
  expect(error).toMatchObject({ code: 'port_in_use', port })
  if (process.platform === 'linux') expect(error.holder).toBe(`node (pid ${pid})`)
  expect(server.requests).toHaveLength(0)
})

describe('the next sign-in of a dynamic client', () => {
  test('[REDIR-05] uses the registration of the last one', async () => {
    const { server, bench } = await scene()
    // Pinned, so that no other test can take it in between.
    const auth = { callback_port: await freePort() }
    const first = await bench.login({ url: server.url, auth })
    const second = await bench.login({ url: server.url, auth })
    expect(second).toMatchObject({ redirect_uri: first.redirect_uri, client_id: first.client_id })
    expect(server.requests.to('/register')).toHaveLength(1)
  })

  test('[REDIR-05] registers anew where that port is taken meanwhile', async () => {
    const { server, bench } = await scene()
    const first = await bench.login({ url: server.url })
    await occupyPort(Number(new URL(first.redirect_uri!).port))
    const second = await bench.login({ url: server.url })
    expect(second.state).toBe('signed_in')
    expect(second.redirect_uri).not.toBe(first.redirect_uri)
    expect(redirectUris(server).registered).toEqual([[first.redirect_uri], [second.redirect_uri]])
    expect(redirectUris(server).exchanged).toEqual([first.redirect_uri, second.redirect_uri])
  })
})
