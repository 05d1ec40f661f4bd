import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterEach, describe, expect, it } from 'vitest'
import { requires } from '../../test/requires.ts'
import type { RedirectAddress, RedirectListener } from '../ports.ts'
import { createLoopbackReceiver } from './loopback-receiver.ts'

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
)
/** Whether this user may make a machine of its own, as far as the network goes. */
const hasNamespaces = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status === 0

const receiver = createLoopbackReceiver({ lookupHolder: async () => undefined })
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** Below the ports that systems hand out by themselves: what a test lets go is not taken by a neighbour at once. */
function quietPort(): number {
  return 20_000 + Math.floor(Math.random() * 12_000)
}

async function listen(address: Partial<RedirectAddress> = {}): Promise<RedirectListener> {
  const listener = await receiver.listen({
    host: 'localhost',
    port: quietPort(),
    path: '/callback',
    alternatives: address.port === undefined ? ['any'] : [],
    ...address,
  })
  closers.push(() => listener.close())
  return listener
}

/** Somebody else's server. */
async function occupy(host: string, port = quietPort()): Promise<number> {
  const server: Server = createTcpServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen({ host, port, ipv6Only: true }, resolve),
  )
  closers.push(() => new Promise((resolve) => server.close(() => resolve())))
  return (server.address() as AddressInfo).port
}

/** A program for a child process that knows no TypeScript. */
async function bundle(contents: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
  })
  return outputFiles[0]!.text
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.destroy())
    socket.on('error', () => resolve(false)).on('close', (failed) => resolve(!failed))
  })
}

const expected = {
  state: 's',
  authorizationUrl: 'https://as.example/authorize',
  serverName: 'linear',
  serverHost: 'mcp.linear.app',
  loginCommand: 'latchkey login linear',
  authorizationHost: 'as.example',
}

describe('the addresses', () => {
  it('[REDIR-03] nothing but loopback is reachable', async () => {
    const { port } = await listen()
    const outside = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ internal, family }) => !internal && family === 'IPv4')
    for (const { address } of outside) expect(await connects(address, port)).toBe(false)
    expect(await connects('127.0.0.2', port)).toBe(false)
  })

  it.each(['', '/', '/callback', '/oauth/callback', '//x', '/a%20b'])(
    'path %j stands in the redirect URI as it is',
    async (path) => {
      const listener = await listen({ host: '127.0.0.1', path })
      expect(listener.redirectUri).toBe(`http://127.0.0.1:${listener.port}${path}`)
      const signIn = listener.expect(expected)
      get(`${listener.redirectUri}?code=c&state=s`, { agent: false }).on('error', () => {})
      expect((await signIn.response).get('code')).toBe('c')
      signIn.finish({ kind: 'success' })
    },
  )

  it.each(['callback', '/a?b', '/a#b', '/a b', '/../a', '/a\\b', '@evil.example/', '.evil.example/', ':1/'])(
    'path %j is refused',
    async (path) => {
      await expect(listen({ path })).rejects.toMatchObject({ code: 'config_invalid', key: 'redirect_uri' })
    },
  )
})

requires('ipv6', hasIpv6)('the two addresses of localhost', () => {
  it('`localhost` listens on 127.0.0.1 and ::1, on the same port', async () => {
    const { port, redirectUri } = await listen()
    expect(redirectUri).toBe(`http://localhost:${port}/callback`)
    expect(await connects('127.0.0.1', port)).toBe(true)
    expect(await connects('::1', port)).toBe(true)
  })

  it('a literal listens on itself only', async () => {
    const v4 = await listen({ host: '127.0.0.1' })
    expect(v4.redirectUri).toBe(`http://127.0.0.1:${v4.port}/callback`)
    expect(await connects('::1', v4.port)).toBe(false)
    const v6 = await listen({ host: '[::1]', path: '/oauth/callback' })
    expect(v6.redirectUri).toBe(`http://[::1]:${v6.port}/oauth/callback`)
    expect(await connects('127.0.0.1', v6.port)).toBe(false)
  })

  it('a port counts as taken when only ::1 is, and 127.0.0.1 is let go again', async () => {
    const port = await occupy('::1')
    await expect(listen({ port })).rejects.toMatchObject({ code: 'port_in_use', port })
    expect(await connects('127.0.0.1', port)).toBe(false)
    // A redirect URI on 127.0.0.1 has no use for ::1.
    expect((await listen({ host: '127.0.0.1', port })).port).toBe(port)
  })

  it('a shared port gets the address it lacked', async () => {
    const first = await listen({ host: '127.0.0.1' })
    await listen({ host: 'localhost', port: first.port })
    expect(await connects('::1', first.port)).toBe(true)
  })
})

requires('network-namespace', hasNamespaces)('half a loopback interface', () => {
  it.each([
    ['IPv6', 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lo up', '127.0.0.1'],
    ['IPv4', 'ip link set lo up; ip addr del 127.0.0.1/8 dev lo', '[::1]'],
  ])('`localhost` works on a machine without %s', async (_family, setup, left) => {
    const program = await bundle(`
      import { createLoopbackReceiver } from './loopback-receiver.ts'
      const address = { host: 'localhost', path: '/callback', alternatives: [] }
      const pinned = await createLoopbackReceiver().listen({ ...address, port: 8080 })
      const any = await createLoopbackReceiver().listen({ ...address, port: 0 })
      for (const { port, redirectUri } of [pinned, any]) {
        const { status } = await fetch('http://${left}:' + port + '/callback')
        console.log(status, redirectUri.replace(String(any.port), 'any'))
      }
      await Promise.all([pinned.close(), any.close()])`)
    const { stdout } = await promisify(execFile)('unshare', [
      '-rn',
      'sh',
      '-c',
      `${setup}; exec "$0" --input-type=module --eval "$1"`,
      process.execPath,
      program,
    ])
    expect(stdout).toBe('400 http://localhost:8080/callback\n400 http://localhost:any/callback\n')
  })
})

describe('a port that somebody else holds', () => {
  it('fails at once and names port, holder, setting and redirect URI', async () => {
    const port = await occupy('127.0.0.1')
    const naming = createLoopbackReceiver({ lookupHolder: async (asked) => `node (pid ${asked})` })
    const attempt = naming.listen({ host: 'localhost', port, path: '/callback', alternatives: [] })
    await expect(attempt).rejects.toMatchObject({ code: 'port_in_use', port, holder: `node (pid ${port})` })
    await expect(attempt).rejects.toThrow(
      `Port ${port}, where the sign-in expects its callback, is taken by node (pid ${port}).\n` +
        'End that program, or set `callback_port` to a free port and, for a client that was registered by hand, ' +
        'register `http://localhost:<callback_port>/callback` with it at the authorization server.',
    )
  })

  it('does not wait for a slow or broken search for the holder', async () => {
    const port = await occupy('127.0.0.1')
    const address = { host: 'localhost', port, path: '/callback', alternatives: [] } as const
    const begin = performance.now()
    const slow = createLoopbackReceiver({ lookupHolder: () => new Promise(() => {}) })
    await expect(slow.listen(address)).rejects.toMatchObject({ code: 'port_in_use', holder: undefined })
    expect(performance.now() - begin).toBeLessThan(1000)
    const broken = createLoopbackReceiver({ lookupHolder: () => Promise.reject(new Error('no /proc')) })
    await expect(broken.listen(address)).rejects.toMatchObject({ code: 'port_in_use', holder: undefined })
  })

  it('the alternatives are tried in order, then any', async () => {
    const [taken, alsoTaken] = [await occupy('127.0.0.1'), await occupy('127.0.0.1')]
    const free = (await listen()).port
    await closers.pop()!()
    const listener = await listen({ port: taken, alternatives: [alsoTaken, free, 'any'] })
    expect(listener.port).toBe(free)
    const any = await listen({ port: taken, alternatives: [alsoTaken, 'any'] })
    expect([taken, alsoTaken]).not.toContain(any.port)
    expect(any.redirectUri).toBe(`http://localhost:${any.port}/callback`)
  })

  it('with all alternatives taken, the wanted one is named', async () => {
    const [taken, alsoTaken] = [await occupy('127.0.0.1'), await occupy('127.0.0.1')]
    await expect(listen({ port: taken, alternatives: [alsoTaken] })).rejects.toMatchObject({ port: taken })
  })
})

describe('a port that this process holds already', () => {
  it('is shared, whichever receiver asks, and freed by the last one', async () => {
    const first = await listen()
    const [second, third] = await Promise.all([
      createLoopbackReceiver().listen({
        host: 'localhost',
        port: first.port,
        path: '/callback',
        alternatives: [],
      }),
      listen({ port: first.port, path: '/other' }),
    ])
    expect([second.redirectUri, third.redirectUri]).toEqual([
      first.redirectUri,
      `http://localhost:${first.port}/other`,
    ])
    await first.close()
    await third.close()
    expect(await connects('127.0.0.1', first.port)).toBe(true)
    await second.close()
    expect(await connects('127.0.0.1', first.port)).toBe(false)
  })

  it('is not closed twice by one of its holders', async () => {
    const first = await listen()
    const second = await listen({ port: first.port })
    await Promise.all([first.close(), first.close()])
    await first.close()
    expect(await connects('127.0.0.1', second.port)).toBe(true)
  })

  it('can be opened, closed and asked for at the same moment', async () => {
    const { port, close } = await listen().then((l) => ({ port: l.port, close: () => l.close() }))
    const [again] = await Promise.all([listen({ port }), close(), listen({ port }).then((l) => l.close())])
    expect(await connects('127.0.0.1', again.port)).toBe(true)
  })
})

describe('closing', () => {
  it('[STATE-04] frees the port before it resolves, idle connections of a browser notwithstanding', async () => {
    const listener = await listen()
    const idle = connect(listener.port, '127.0.0.1')
    idle.on('error', () => {})
    await new Promise((resolve) => idle.once('connect', resolve))
    await listener.close()
    await occupy('127.0.0.1', listener.port)
    if (!idle.closed) await new Promise((resolve) => idle.once('close', resolve))
  })

  it('ends what nobody finished: the browser gets a page, the waiting program a coded error', async () => {
    const listener = await listen({ host: '127.0.0.1' })
    const answered = listener.expect(expected)
    const unanswered = listener.expect({ ...expected, state: 't' })
    const page = fetch(`${listener.redirectUri}?code=c&state=s`)
    await answered.response
    await listener.close()
    expect(await (await page).text()).toContain('Sign-in cancelled')
    await expect(unanswered.response).rejects.toMatchObject({ code: 'sign_in_cancelled', server: 'linear' })
    expect(() => listener.expect(expected)).toThrow(TypeError)
  })

  it('resolves at once while a browser fetches its page, which it still gets', async () => {
    const listener = await listen({ host: '127.0.0.1' })
    const signIn = listener.expect(expected)
    const page = fetch(`${listener.redirectUri}?code=c&state=s`)
    await signIn.response
    signIn.finish({ kind: 'success' })
    const begin = performance.now()
    await listener.close()
    expect(performance.now() - begin).toBeLessThan(100)
    expect(await (await page).text()).toContain('Signed in to linear')
    await expect.poll(() => connects('127.0.0.1', listener.port), { interval: 10, timeout: 500 }).toBe(false)
  })

  it('waits a second at most for a browser that does not fetch its page', async () => {
    const listener = await listen({ host: '127.0.0.1' })
    const signIn = listener.expect(expected)
    const held = fetch(`${listener.redirectUri}?code=c&state=s`, { redirect: 'manual' })
    await signIn.response
    signIn.finish({ kind: 'success' })
    expect((await held).status).toBe(303)
    const begin = performance.now()
    await listener.close()
    expect(await connects('127.0.0.1', listener.port)).toBe(true)
    await expect.poll(() => connects('127.0.0.1', listener.port), { interval: 25, timeout: 1500 }).toBe(false)
    expect(performance.now() - begin).toBeGreaterThan(700)
  })

  it('leaves the port to whoever asks for it while the page is on its way', async () => {
    const listener = await listen({ host: '127.0.0.1' })
    const signIn = listener.expect(expected)
    const page = fetch(`${listener.redirectUri}?code=c&state=s`)
    await signIn.response
    signIn.finish({ kind: 'success' })
    await listener.close()
    const next = await listen({ host: '127.0.0.1', port: listener.port })
    expect((await page).status).toBe(200)
    await sleep(50)
    expect(await connects('127.0.0.1', next.port)).toBe(true)
  })

  it.each([
    ['follows to the page', 'follow', 900],
    ['does not follow', 'manual', 3000],
  ] as const)(
    'lets a program that is done end by itself, when the browser %s',
    async (_what, redirect, limit) => {
      const program = await bundle(`
      import { createLoopbackReceiver } from './loopback-receiver.ts'
      const listener = await createLoopbackReceiver().listen({ host: '127.0.0.1', port: 0, path: '/callback', alternatives: [] })
      const signIn = listener.expect(${JSON.stringify(expected)})
      listener.expect(${JSON.stringify({ ...expected, state: 'nobody answers' })})
      console.log(listener.redirectUri)
      await signIn.response
      signIn.finish({ kind: 'success' })
      await listener.close()
      process.stdout.write('closed')`)
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
      const [firstLine] = (await once(child.stdout, 'data')) as [Buffer]
      const page = await fetch(`${firstLine.toString().trim()}?code=c&state=s`, { redirect })
      const begin = performance.now()
      if (redirect === 'follow') expect(await page.text()).toContain('Signed in to linear')
      expect(await ended).toBe(0)
      expect(performance.now() - begin).toBeLessThan(limit)
      expect(String(child.stderr.read() ?? '')).toBe('')
    },
  )
})
