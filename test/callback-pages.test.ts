import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createLoopbackReceiver } from '../src/node/loopback-receiver.ts'
import type { ExpectedRedirect, PendingRedirect, RedirectListener, RedirectOutcome } from '../src/ports.ts'
import { chromiumIsInstalled, launchChromium } from './fixtures/chromium.ts'
import { type LoopbackServer, startLoopbackServer } from './fixtures/loopback-server.ts'
import { requires } from './requires.ts'

/** `LATCHKEY_TEST_PICTURES=docs npx vitest run test/callback-pages.test.ts` renews the pictures in the documentation. */
const pictures = process.env.LATCHKEY_TEST_PICTURES

const outcomes: Record<RedirectOutcome['kind'], { outcome: RedirectOutcome; heading: string }> = {
  success: { outcome: { kind: 'success' }, heading: 'Signed in to linear' },
  error: {
    outcome: {
      kind: 'error',
      title: 'The sign-in could not be completed',
      message: 'auth.linear.app refused the authorization code: it was used before or has run out.',
      remedy: 'Run `latchkey login linear` again. If it happens again, check the clock of this computer.',
      code: 'token_request_refused',
    },
    heading: 'The sign-in could not be completed',
  },
  cancelled: { outcome: { kind: 'cancelled' }, heading: 'Sign-in cancelled' },
  expired: { outcome: { kind: 'expired' }, heading: 'This sign-in has expired' },
}
const kinds = Object.keys(outcomes) as RedirectOutcome['kind'][]
const walks = kinds.flatMap((kind) => (['light', 'dark'] as const).map((scheme) => [kind, scheme] as const))

requires('chromium', chromiumIsInstalled)('the pages in a real browser', () => {
  let browser: Browser
  let authorizationServer: LoopbackServer
  let listener: RedirectListener
  let context: BrowserContext
  let requested: string[]

  beforeAll(async () => {
    browser = await launchChromium()
    authorizationServer = await startLoopbackServer((_request, response, { query }) => {
      const callback = new URL(query.get('redirect_uri') ?? '')
      callback.searchParams.set('code', 'code-of-the-test')
      callback.searchParams.set('state', query.get('state') ?? '')
      response.writeHead(302, { location: callback.href }).end()
    })
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await authorizationServer?.close()
  })

  beforeEach(async () => {
    listener = await createLoopbackReceiver().listen({
      host: 'localhost',
      port: 0,
      path: '/callback',
      alternatives: [],
    })
  })
  afterEach(async () => {
    await context?.close()
    await listener.close()
  })

  /** A browser of its own, whose every request is written down. */
  async function newPage(options: BrowserContextOptions): Promise<Page> {
    context = await browser.newContext(options)
    requested = []
    context.on('request', (request) => requested.push(request.url()))
    return await context.newPage()
  }

  function expectSignIn(more: Partial<ExpectedRedirect> = {}): PendingRedirect {
    const authorizationUrl = new URL('/authorize', authorizationServer.origin)
    authorizationUrl.searchParams.set('redirect_uri', listener.redirectUri)
    authorizationUrl.searchParams.set('state', 'state-of-the-test')
    return listener.expect({
      state: 'state-of-the-test',
      authorizationUrl: authorizationUrl.href,
      serverName: 'linear',
      serverHost: 'mcp.linear.app',
      loginCommand: 'latchkey login linear',
      authorizationHost: 'auth.linear.app',
      ...more,
    })
  }

  /** Start URL → authorization server → callback, held → page. */
  async function walk(page: Page, outcome: RedirectOutcome): Promise<void> {
    const signIn = expectSignIn()
    const arrival = page.goto(signIn.startUrl)
    const parameters = await signIn.response
    expect(parameters.get('code')).toBe('code-of-the-test')
    signIn.finish(outcome)
    await arrival
  }

  function expectOnlyLoopback(): void {
    expect(requested.length).toBeGreaterThanOrEqual(4)
    for (const url of requested) expect(new URL(url).hostname).toMatch(/^(localhost|127\.0\.0\.1|\[::1\])$/)
  }

  it.each(walks)(
    '%s, %s: shown without JavaScript, nothing left in the address bar',
    async (kind, scheme) => {
      const page = await newPage({
        colorScheme: scheme,
        javaScriptEnabled: false,
        viewport: { width: 760, height: 680 },
      })
      await walk(page, outcomes[kind].outcome)
      await expect(page.locator('h1').textContent()).resolves.toBe(outcomes[kind].heading)
      expect(await page.locator('[role=status]').isVisible()).toBe(true)
      expect(page.url()).toMatch(/^http:\/\/localhost:\d+\/done\/[A-Za-z0-9_-]{22}$/)
      expectOnlyLoopback()
      if (pictures) {
        mkdirSync(pictures, { recursive: true })
        const name = `callback-${kind}${scheme === 'dark' ? '-dark' : ''}.png`
        await page.screenshot({ path: join(pictures, name) })
      }
    },
  )

  it.each(walks)('%s, %s: no accessibility violation, no message from the policy', async (kind, scheme) => {
    const page = await newPage({ colorScheme: scheme })
    const complaints: string[] = []
    // Chromium also notes the status of the page itself.
    page.on('console', (message) => {
      if (!/responded with a status of 4(00|10) /.test(message.text())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await walk(page, outcomes[kind].outcome)
    expect(complaints).toEqual([])
    // The policy allows no script at all; axe comes in through the browser's own door.
    const { violations, passes } = await new AxeBuilder({ page }).setLegacyMode().analyze()
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([])
    expect(passes.map(({ id }) => id)).toContain('color-contrast')
    expectOnlyLoopback()
  })

  it.each(['light', 'dark'] as const)(
    'a foreign sign-in page, %s: both hosts shown, no violation, and the link leads on',
    async (scheme) => {
      const page = await newPage({
        colorScheme: scheme,
        javaScriptEnabled: true,
        viewport: { width: 760, height: 680 },
      })
      const signIn = expectSignIn({ confirmAgainst: 'linear.app.example' })
      await page.goto(signIn.startUrl)
      await expect(page.locator('h1').textContent()).resolves.toBe('Is this the right sign-in page?')
      await expect(page.locator('dl').textContent()).resolves.toMatch(
        /linear\.app\.example.*auth\.linear\.app/,
      )
      const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze()
      expect(violations.map(({ id }) => id)).toEqual([])
      if (pictures) {
        const name = `callback-question${scheme === 'dark' ? '-dark' : ''}.png`
        await page.screenshot({ path: join(pictures, name), fullPage: true })
      }
      const arrival = page.getByRole('link', { name: 'Continue to auth.linear.app' }).click()
      expect((await signIn.response).get('code')).toBe('code-of-the-test')
      signIn.finish({ kind: 'success' })
      await arrival
      await page.waitForURL(/\/done\//)
      expectOnlyLoopback()
    },
  )

  it.each(['light', 'dark'] as const)(
    'a name in punycode, %s: shown as that, what it looks like beside it, in a column of 400 px too',
    async (scheme) => {
      const page = await newPage({ colorScheme: scheme, viewport: { width: 400, height: 680 } })
      const host = 'xn--pypal-4ve.com'
      const signIn = expectSignIn({ authorizationHost: host, confirmAgainst: host, scope: 'read write' })
      await page.goto(signIn.startUrl)
      const facts = await page.locator('dl').innerText()
      expect(facts).toContain('linear (mcp.linear.app)')
      expect(facts).toMatch(/xn--pypal-4ve\.com\s+which is written\s+p\u0430ypal\.com/)
      expect(facts).toContain('read write')
      expect(await page.getByRole('link').allInnerTexts()).toEqual([`Continue to ${host}`, 'Do not continue'])
      const { violations } = await new AxeBuilder({ page }).setLegacyMode().analyze()
      expect(violations.map(({ id }) => id)).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400)
      if (pictures) {
        const name = `callback-punycode${scheme === 'dark' ? '-dark' : ''}.png`
        await page.screenshot({ path: join(pictures, name), fullPage: true })
      }
      signIn.finish({ kind: 'cancelled' })
    },
  )

  it('neither code nor state is in the history of the tab', async () => {
    const page = await newPage({ javaScriptEnabled: false })
    await walk(page, { kind: 'success' })
    const devtools = await context.newCDPSession(page)
    const { entries } = await devtools.send('Page.getNavigationHistory')
    const [blank, ...visited] = entries.map(({ url }) => url)
    expect(blank).toBe('about:blank')
    expect(visited).toEqual([expect.stringMatching(/^http:\/\/localhost:\d+\/done\/[\w-]{22}$/)])
  })

  it('S16: another page that learned the start link can neither frame the question nor answer it', async () => {
    const page = await newPage({})
    const signIn = expectSignIn({ confirmAgainst: 'linear.app.example' })
    const hostile = await startLoopbackServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end(`<iframe src="${signIn.startUrl}"></iframe><img src="${signIn.startUrl}">`)
    })
    await page.goto(hostile.origin, { waitUntil: 'load' })
    const read = await page.evaluate(
      (url) => fetch(url, { mode: 'no-cors' }).then(({ type }) => type, String),
      signIn.startUrl,
    )
    expect(read).toMatch(/opaque|TypeError/)
    expect(requested.filter((url) => /continue|authorize/.test(url))).toEqual([])
    // Not used up: the person still gets the question.
    await page.goto(signIn.startUrl)
    expect(await page.locator('h1').textContent()).toBe('Is this the right sign-in page?')
    signIn.finish({ kind: 'cancelled' })
    await hostile.close()
  })

  it.each(kinds)('%s: fits a column of 320 px, with names that do not break', async (kind) => {
    const page = await newPage({ viewport: { width: 320, height: 480 } })
    const signIn = listener.expect({
      state: 'narrow',
      authorizationUrl: `${authorizationServer.origin}/authorize?state=narrow&redirect_uri=${encodeURIComponent(listener.redirectUri)}`,
      serverName: `https://mcp.example.com/${'very-long-path'.repeat(6)}`,
      serverHost: 'mcp.linear.app',
      loginCommand: 'latchkey login linear',
      authorizationHost: `${'sub-domain.'.repeat(12)}example.com`,
    })
    const arrival = page.goto(signIn.startUrl)
    await signIn.response
    signIn.finish(outcomes[kind].outcome)
    await arrival
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320)
  })

  it('a second opening of the start link is told so, and the first tab still ends well', async () => {
    const first = await newPage({ javaScriptEnabled: false })
    const signIn = expectSignIn()
    const arrival = first.goto(signIn.startUrl)
    await signIn.response
    const second = await context.newPage()
    await second.goto(signIn.startUrl)
    expect(await second.locator('h1').textContent()).toBe('This link was already used')
    signIn.finish({ kind: 'success' })
    await arrival
    expect(await first.locator('h1').textContent()).toBe('Signed in to linear')
  })

  it('S15: a hostile text stays text', async () => {
    const page = await newPage({})
    const hostile =
      '<script>document.title="owned"</script><img src="http://198.51.100.1/x" onerror="document.title=\'owned\'">'
    await walk(page, { kind: 'error', title: hostile, message: hostile, remedy: hostile, code: hostile })
    expect(await page.locator('h1').textContent()).toBe(hostile)
    expect(await page.title()).toBe(`${hostile} – latchkey`)
    expect(await page.locator('img, script').count()).toBe(0)
    expectOnlyLoopback()
  })

  it('the page arrives although the listener is closed at once', async () => {
    const page = await newPage({ javaScriptEnabled: false })
    const signIn = expectSignIn()
    const arrival = page.goto(signIn.startUrl)
    await signIn.response
    signIn.finish({ kind: 'success' })
    await listener.close()
    await arrival
    expect(await page.locator('h1').textContent()).toBe('Signed in to linear')
  })
})
