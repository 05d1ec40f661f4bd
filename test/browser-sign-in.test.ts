import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createLatchkey, type Latchkey } from '../src/latchkey.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { createSignInBoard } from '../src/node/sign-in-board.ts'
import { nodePlatform } from '../src/node-platform.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { chromiumIsInstalled, launchChromium } from './fixtures/chromium.ts'
import { createConsentBrowser } from './fixtures/consent-browser.mjs'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { startProtectedServer } from './fixtures/protected-server.ts'
import { freePort } from './fixtures/workbench.ts'
import { requires } from './requires.ts'

requires('chromium', chromiumIsInstalled)('a person with a real browser', () => {
  let browser: Browser
  let page: Page
  let authorizationServer: AuthorizationServer
  let server: McpServerFixture
  let latchkey: Latchkey
  let home: string
  let requested: string[]

  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  beforeEach(async () => {
    authorizationServer = await startAuthorizationServer()
    const { issuer, verifyAccessToken } = authorizationServer
    server = await startMcpServer({
      protect: { kind: 'oauth', authorizationServers: [issuer], verify: verifyAccessToken },
    })
    home = await mkdtemp(join(tmpdir(), 'latchkey-'))
    latchkey = createLatchkey({
      ...nodePlatform,
      createStore: (emit) => createFileStore({ home, emit }),
      createSignInBoard: (emit) => createSignInBoard({ home, emit }),
    })
    // Without scripts, as some people browse.
    const context = await browser.newContext({ javaScriptEnabled: false })
    requested = []
    context.on('request', (request) => requested.push(request.url()))
    page = await context.newPage()
  })
  afterEach(async () => {
    await page.context().close()
    await Promise.all([server.close(), authorizationServer.close()])
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  })

  /** Opens the browser as the library asks for it, and signs in up to the consent page. */
  async function signInAs(user: string): Promise<{ outcome: Promise<unknown> }> {
    let opened: Promise<unknown> = Promise.resolve()
    const openUrl = (url: string) => {
      opened = page.goto(url)
    }
    const outcome = latchkey.login({ name: 'demo', url: server.url }, { openUrl }).catch((error) => error)
    await expect.poll(() => page.url(), { timeout: 10_000 }).not.toBe('about:blank')
    await opened
    await page.getByLabel('User name').fill(user)
    await page.getByLabel('Password').fill('any')
    await page.getByRole('button', { name: 'Sign in' }).click()
    return { outcome }
  }

  test('signs in, allows the access and ends on the page that says so', async () => {
    const { outcome } = await signInAs('alice')
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByRole('heading', { name: 'Signed in to demo' }).waitFor()
    expect(await outcome).toMatchObject({ state: 'signed_in', issuer: authorizationServer.issuer })
    expect(page.url()).not.toMatch(/code=|state=/)
    expect(requested.every((url) => ['127.0.0.1', 'localhost'].includes(new URL(url).hostname))).toBe(true)
  })

  test('denies the access and ends on the page that says it was cancelled', async () => {
    const { outcome } = await signInAs('bob')
    await page.getByRole('button', { name: 'Deny' }).click()
    await page.getByRole('heading', { name: 'Sign-in cancelled' }).waitFor()
    expect(await outcome).toMatchObject({ code: 'authorization_refused', error: 'access_denied' })
    expect(await latchkey.status({ url: server.url })).toMatchObject({ state: 'signed_out' })
  })

  test('who comes back too late is told so, while another sign-in keeps the port', async () => {
    const port = await freePort()
    const clients = [{ client_id: 'app', redirect_uris: [`http://localhost:${port}/callback`] }]
    const other = await startAuthorizationServer({ clients })
    const own = await startAuthorizationServer({ clients })
    const servers = await Promise.all([own, other].map((each) => startProtectedServer(each)))
    const auth = { client_id: 'app', callback_port: port }
    const starts: string[] = []
    const options = { openUrl: (url: string) => void starts.push(url), callbackTimeout: 5_000 }
    const late = latchkey.login({ name: 'late', url: servers[0]!.url, auth }, options).catch((error) => error)
    await expect.poll(() => starts).toHaveLength(1)
    await page.goto(starts[0]!)
    await page.getByLabel('User name').fill('carol')
    await page.getByLabel('Password').fill('any')
    await page.getByRole('button', { name: 'Sign in' }).click()
    const next = latchkey
      .login({ name: 'next', url: servers[1]!.url, auth }, { ...options, callbackTimeout: 10_000 })
      .catch((error) => error)
    expect(await late).toMatchObject({ code: 'sign_in_timed_out' })
    await expect.poll(() => starts, { timeout: 10_000 }).toHaveLength(2)
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByRole('heading', { name: 'This sign-in has expired' }).waitFor()
    await createConsentBrowser().open(starts[1]!)
    expect(await next).toMatchObject({ state: 'signed_in' })
    await Promise.all([...servers, own, other].map((each) => each.close()))
  })
})
