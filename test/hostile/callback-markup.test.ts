import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumIsInstalled, launchChromium } from '../fixtures/chromium.ts'
import { type HostileLogin, openHostileLogin } from '../fixtures/hostile-login.ts'
import { storedLogins } from '../fixtures/stored-logins.ts'
import { startLoginWithoutBrowser } from '../fixtures/waiting-login.ts'
import { requires } from '../requires.ts'

// Anybody can lead a browser to the callback with any parameters, and an authorization server chooses what it says there.

const MARKUP = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "'><svg/onload=alert(1)>",
  '</title><script>alert(1)</script>',
  '<iframe srcdoc="<script>alert(1)</script>">',
  '<meta http-equiv=refresh content="0;url=javascript:alert(1)">',
  'javascript:alert(1)',
]
const PARAMETERS = [
  'error',
  'error_description',
  'error_uri',
  'iss',
  'code',
  'state',
  'scope',
  'session_state',
  '<script>',
]

/** Encoded, and as it is. */
const TEXTS = MARKUP.flatMap((markup) => [encodeURIComponent(markup), markup.replaceAll(' ', '+')])
const query = (names: readonly string[], text: string) =>
  names.map((name) => `${encodeURIComponent(name)}=${text}`).join('&')
const ALL_AT_ONCE = TEXTS.map((text) => query(PARAMETERS, text))
const ONE_AT_A_TIME = TEXTS.flatMap((text) => PARAMETERS.map((name) => `error=x&${query([name], text)}`))

let login: HostileLogin
beforeAll(async () => {
  login = await openHostileLogin()
}, 120_000)
afterAll(() => login.close())

describe('S15 GHSA-mxxr-jv3v-6pgc: markup in the parameters of the callback', () => {
  test('is not repeated, and every answer forbids what a page could do', async () => {
    for (const each of [...ALL_AT_ONCE, ...ONE_AT_A_TIME]) {
      const answer = await login.ask(`/callback?${each}`)
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(answer).not.toMatch(/alert|onerror|onload|<script|<img|<iframe|http-equiv|javascript:/i)
      expect(answer).toMatch(/^content-security-policy: default-src 'none';.*frame-ancestors 'none'/im)
      expect(answer).toMatch(/^x-content-type-options: nosniff\r$/im)
      expect(answer).toMatch(/^referrer-policy: no-referrer\r$/im)
      expect(answer).toMatch(/^x-frame-options: DENY\r$/im)
      expect(answer).toMatch(/^cache-control: no-store\r$/im)
    }
  })

  requires('chromium', chromiumIsInstalled)('in a real browser', () => {
    let browser: Browser
    let page: Page
    const ran: string[] = []
    const asked: string[] = []

    beforeAll(async () => {
      browser = await launchChromium()
      const context = await browser.newContext()
      await context.exposeFunction('alert', (what: unknown) => void ran.push(String(what)))
      context.on('request', (request) => void asked.push(request.url()))
      page = await context.newPage()
    }, 60_000)
    afterAll(() => browser?.close())

    async function expectNothingToHaveRun(): Promise<void> {
      expect(ran).toEqual([])
      expect(await page.locator('script, img, iframe, [onload], [onerror]').count()).toBe(0)
      const foreign = asked.filter((url) => !/^http:\/\/(localhost|127\.0\.0\.1):\d+\//.test(url))
      expect(foreign).toEqual([])
    }

    test('runs nothing and loads nothing', async () => {
      for (const each of ALL_AT_ONCE) {
        await page.goto(`http://localhost:${login.port}/callback?${each}`)
        await expectNothingToHaveRun()
      }
    })

    test('stays text when the authorization server itself sends it, and the sign-in ends as refused', async () => {
      const { command, home, as } = login
      await login.expectTheRealOneToWin()
      const markup = MARKUP.join(' ')
      as.scripts.authorize = ({ query }) => {
        const to = new URL(query.get('redirect_uri') ?? '')
        for (const name of PARAMETERS) to.searchParams.set(name, markup)
        to.searchParams.set('error', 'access_denied')
        to.searchParams.set('state', query.get('state') ?? '')
        to.searchParams.set('iss', as.issuer)
        to.searchParams.delete('code')
        return { status: 302, headers: { location: to.href } }
      }
      const before = await storedLogins(join(home.path, '.mcp_use'))
      as.requests.clear()
      const { authorizationUrl, ended } = await startLoginWithoutBrowser(command, as, home, ['--json'])
      await page.goto(authorizationUrl)
      await expectNothingToHaveRun()
      expect(page.url()).toMatch(/^http:\/\/localhost:\d+\/done\/[\w-]{22}$/)
      const { code, stdout } = await ended
      expect(code).toBe(5)
      expect(JSON.parse(stdout).error).toMatchObject({ code: 'authorization_refused' })
      expect(as.requests.to('/token')).toEqual([])
      expect(await storedLogins(join(home.path, '.mcp_use'))).toEqual(before)
    })

    test('leaves the next sign-in alone, whose code stays in no address bar and no referrer', async () => {
      const { command, home, as } = login
      as.scripts = {}
      asked.length = 0
      const { authorizationUrl, ended } = await startLoginWithoutBrowser(command, as, home)
      await page.goto(authorizationUrl)
      expect((await ended).code).toBe(0)
      expect(page.url()).toMatch(/^http:\/\/localhost:\d+\/done\/[\w-]{22}$/)
      expect(await page.evaluate(() => document.referrer)).not.toMatch(/code=|state=/)
      expect(asked.filter((url) => url.includes('code='))).toHaveLength(1)
    })
  })
})
