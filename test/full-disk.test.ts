import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import type { McpServerFixture } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { requires } from './requires.ts'
import { buildProgram, consentBrowser } from './session-program.ts'
import { type StoreChild, startStoreChild, temporaryFolder } from './store-program.ts'

const hasNamespaces = spawnSync('unshare', ['-rm', 'true']).status === 0

requires('mount-namespace', hasNamespaces)('a disk that cannot be written', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let program: Awaited<ReturnType<typeof buildProgram>>
  let authorizationServer: AuthorizationServer
  let server: McpServerFixture
  let child: StoreChild

  beforeAll(async () => {
    folder = await temporaryFolder()
    program = await buildProgram('disk-child')
  })
  afterAll(() => Promise.all([folder.remove(), program.remove()]))

  beforeEach(async () => {
    authorizationServer = await startAuthorizationServer()
    server = await startProtectedServer(authorizationServer)
    const home = await mkdtemp(join(folder.path, 'home-'))
    const onSmallDisk = 'mount -t tmpfs -o size=1m,mode=700 none "$1" && shift && exec "$@"'
    child = startStoreChild(program.file, [home, server.url], {
      env: { ...process.env, LATCHKEY_HOME: home, BROWSER: consentBrowser },
      prefix: ['unshare', '-rm', 'sh', '-c', onSmallDisk, 'sh', home],
    })
    expect(await child.ask('login')).toMatchObject({ opened: 1 })
    await child.ask('expire')
    authorizationServer.requests.clear()
  })
  afterEach(async () => {
    child.process.stdin?.end()
    await child.ended
    await Promise.all([server.close(), authorizationServer.close()])
  })

  const digest = () => child.ask('digest')
  const refreshes = () => authorizationServer.requests.lines()

  test.each([
    ['full', 'fill', 'free', 'ENOSPC'],
    ['read-only', 'read-only', 'writable', 'EROFS'],
  ])(
    'a %s one: a typed error, nothing is sent, the old login is whole',
    async (_title, spoil, mend, code) => {
      const before = await digest()
      await child.ask(spoil)
      const failure = await child.ask('call')
      expect(failure).toMatchObject({ code: 'store_failed', message: expect.stringContaining(code) })
      expect(refreshes()).toEqual([])
      expect(await digest()).toEqual(before)

      await child.ask(mend)
      expect(await child.ask('call')).toMatchObject({ opened: 1, value: { content: [{ text: 'alice' }] } })
      expect(refreshes()).toEqual(['POST /token'])
    },
  )

  test('one that fills up while the server answers: the renewed login is stored all the same', async () => {
    const before = await digest()
    await child.ask('fill-after-answer')
    expect(await child.ask('call')).toMatchObject({ opened: 1, value: { content: [{ text: 'alice' }] } })
    expect(await digest()).not.toEqual(before)
    expect(refreshes()).toEqual(['POST /token'])

    // What was stored is what the server honours: the next renewal starts from it.
    await child.ask('free')
    await child.ask('expire')
    expect(await child.ask('call')).toMatchObject({ opened: 1, value: { content: [{ text: 'alice' }] } })
  })

  test.each([
    ['full', 'fill'],
    ['read-only', 'read-only'],
  ])('a %s one: nobody is asked to sign in for it', async (_title, spoil) => {
    await child.ask(spoil)
    expect(await child.ask('login')).toMatchObject({ code: 'store_failed', opened: 1 })
    expect(refreshes()).toEqual([])
  })
})
