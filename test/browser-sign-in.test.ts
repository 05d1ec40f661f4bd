import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createLatchkey, type Latchkey } from '../src/latchkey.ts'
import { createFileStore } from '../src/node/file-store.ts'
import { nodePlatform } from '../src/node-platform.ts'
import { type AuthorizationServer, startAuthorizationServer } from './fixtures/authorization-server.ts'
import { chromiumIsInstalled, launchChromium } from './fixtures/chromium.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
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
    latchkey = createLatchkey({ ...nodePlatform, createStore: (emit) => createFileStore({ home, emit }) })
    // Without scripts, as some people browse.
    const context = await browser.newContext({ javaScriptEnabled: false })
    requested = []
    context.on('request', (request) => requested.push(request.url()))
    page = await context.newPage()
  })
  afterEach(async () => {
    await page.context().close()
    await Promise.all([server.close(), authorizationServer.close()])
    await rm(home, { recursive: true, force: true })
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
})
