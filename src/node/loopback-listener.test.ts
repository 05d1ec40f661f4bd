import { type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rawRequest } from '../../test/fixtures/raw-http.ts'
import type { ExpectedRedirect, PendingRedirect, RedirectListener } from '../ports.ts'
import { createLoopbackReceiver } from './loopback-receiver.ts'

interface Got {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

interface Ask {
  method?: string
  headers?: Record<string, string>
}

/** One request on a connection of its own, redirects not followed, `Host` as given. */
function ask(url: string, { method = 'GET', headers = {} }: Ask = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, async (answer) => {
      let body = ''
      for await (const chunk of answer.setEncoding('utf8')) body += chunk as string
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body })
    })
    sent.on('error', reject).end()
  })
}

/** Like a browser: waits for the held answer and follows it to the page. */
async function browse(url: string): Promise<Got & { finalUrl: string }> {
  let finalUrl = url
  for (let hops = 0; hops < 5; hops++) {
    const got = await ask(finalUrl)
    if (!got.headers.location) return { ...got, finalUrl }
    finalUrl = new URL(got.headers.location, finalUrl).href
  }
  throw new Error('too many redirects')
}

const request1: ExpectedRedirect = {
  state: 'state-of-the-real-sign-in',
  authorizationUrl: 'https://as.example/authorize?client_id=c&state=state-of-the-real-sign-in&x=a%26b',
  serverName: 'linear',
  serverHost: 'mcp.linear.app',
  loginCommand: 'latchkey login linear',
  authorizationHost: 'as.example',
}

let listener: RedirectListener
let signIn: PendingRedirect
let callback: string

beforeEach(async () => {
  listener = await createLoopbackReceiver().listen({
    host: '127.0.0.1',
    port: 0,
    path: '/callback',
    alternatives: [],
  })
  signIn = listener.expect(request1)
  callback = `${listener.redirectUri}?code=the-code&state=${request1.state}`
})

afterEach(() => listener.close())

/** True when the promise is still pending after everything that is under way had its turn. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise.catch(() => undefined), sleep(30, pending)])) === pending
}

/** The real callback still wins: the point of every threat below. */
async function expectRealCallbackToWin(): Promise<void> {
  expect(await isPending(signIn.response)).toBe(true)
  const page = browse(callback)
  expect((await signIn.response).get('code')).toBe('the-code')
  signIn.finish({ kind: 'success' })
  expect((await page).body).toContain('Signed in to linear')
}

describe('another process that asks whether a sign-in holds the port', () => {
  const question = (headers: Record<string, string>) =>
    ask(`${new URL(listener.redirectUri).origin}/.latchkey`, { headers })

  it('is told so, and nothing else', async () => {
    const got = await question({ 'x-latchkey': '1' })
    expect(got).toMatchObject({ status: 204, body: '' })
    expect(got.headers['x-latchkey']).toBe('signing-in')
    await expectRealCallbackToWin()
  })

  it('is not a web page: without the header there is nothing, and no other host is heard', async () => {
    const got = await question({})
    expect(got.status).toBe(404)
    expect(got.headers['x-latchkey']).toBeUndefined()
    expect((await question({ 'x-latchkey': '1', host: 'evil.example' })).status).toBe(421)
  })
})

describe('the start URL', () => {
  it('is short and says nothing of the authorization request', () => {
    expect(signIn.startUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/start\/[A-Za-z0-9_-]{22}$/)
  })

  it('leads to the authorization URL, byte for byte, and only once', async () => {
    const first = await ask(signIn.startUrl)
    expect(first.status).toBe(302)
    expect(first.headers.location).toBe(request1.authorizationUrl)
    expect(first.headers['referrer-policy']).toBe('no-referrer')
    const second = await ask(signIn.startUrl)
    expect(second.status).toBe(410)
    expect(second.headers.location).toBeUndefined()
    expect(second.body).toContain('already used')
    expect(second.body).not.toContain(request1.state)
  })

  it('is not used up by HEAD or by a browser that looks ahead', async () => {
    expect((await ask(signIn.startUrl, { method: 'HEAD' })).status).toBe(405)
    expect((await ask(signIn.startUrl, { headers: { 'Sec-Purpose': 'prefetch;prerender' } })).status).toBe(
      503,
    )
    expect((await ask(signIn.startUrl, { headers: { Purpose: 'prefetch' } })).status).toBe(503)
    expect((await ask(signIn.startUrl)).status).toBe(302)
  })

  it('shows the outcome when the sign-in is over', async () => {
    signIn.finish({ kind: 'expired' })
    const got = await ask(signIn.startUrl)
    expect(got.status).toBe(410)
    expect(got.body).toContain('has expired')
  })

  it.each(['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'ms-calculator:', 'no url'])(
    '[OPEN-01] never leads to %s',
    (authorizationUrl) => {
      expect(() => listener.expect({ ...request1, state: 'other', authorizationUrl })).toThrow(
        expect.objectContaining({ code: 'url_refused' }),
      )
    },
  )
})

describe('a sign-in page on a host of somebody else', () => {
  let asked: PendingRedirect
  let page: Got
  const link = (kind: string) => {
    const path = new RegExp(`<a class="${kind}" href="(/[a-z]+/[\\w-]{22})">`).exec(page.body)?.[1]
    return new URL(path ?? 'missing', asked.startUrl).href
  }

  beforeEach(async () => {
    asked = listener.expect({ ...request1, state: 'foreign', confirmAgainst: 'auth.linear.app' })
    page = await ask(asked.startUrl)
  })
  const answer = () => `${listener.redirectUri}?code=c&state=foreign`

  it('is not opened before the person says so; the page names both hosts', async () => {
    expect(page.status).toBe(200)
    expect(page.headers.location).toBeUndefined()
    expect(page.body).toContain('auth.linear.app')
    expect(page.body).toContain(request1.authorizationHost)
    expect(page.body).not.toContain(request1.state)
    expect(page.body).not.toMatch(/<script|<form/)
    expect((await ask(asked.startUrl)).status).toBe(410)
  })

  it('is opened by the link of the page, not by a browser that looks ahead', async () => {
    expect((await ask(link('continue'), { headers: { 'Sec-Purpose': 'prefetch' } })).status).toBe(503)
    const led = await ask(link('continue'))
    expect([led.status, led.headers.location]).toEqual([302, request1.authorizationUrl])
    const last = browse(answer())
    expect((await asked.response).get('code')).toBe('c')
    asked.finish({ kind: 'success' })
    expect((await last).status).toBe(200)
  })

  it('takes no answer that came past the page', async () => {
    expect((await ask(answer())).body).toContain('Nobody is waiting')
    expect(await isPending(asked.response)).toBe(true)
  })

  it('ends the sign-in when the person declines', async () => {
    const last = browse(link('decline'))
    await expect(asked.response).rejects.toMatchObject({
      code: 'sign_in_cancelled',
      remedy: expect.stringContaining('`auth.authorization_hosts`'),
    })
    asked.finish({ kind: 'cancelled' })
    expect((await last).body).toContain('Sign-in cancelled')
  })
})

describe('the callback', () => {
  it('[ISS-07] hands over all parameters and holds its answer until the outcome is known', async () => {
    const held = ask(`${callback}&iss=https%3A%2F%2Fas.example&extra=1`)
    expect(Object.fromEntries(await signIn.response)).toEqual({
      code: 'the-code',
      state: request1.state,
      iss: 'https://as.example',
      extra: '1',
    })
    expect(await isPending(held)).toBe(true)
    signIn.finish({ kind: 'success' })
    expect((await held).status).toBe(303)
  })

  it('leads to a page without code and state in its address', async () => {
    const page = browse(callback)
    await signIn.response
    signIn.finish({ kind: 'success' })
    const { finalUrl, status, body } = await page
    expect(finalUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/done\/[A-Za-z0-9_-]{22}$/)
    expect(status).toBe(200)
    expect(body).toContain('Signed in to linear')
    expect(body).not.toContain('the-code')
    expect(body).not.toContain(request1.state)
  })

  it.each([
    [{ kind: 'success' } as const, 200, 'Signed in to linear'],
    [{ kind: 'error', message: 'The exchange failed.' } as const, 400, 'The exchange failed.'],
    [{ kind: 'cancelled' } as const, 200, 'cancelled'],
    [{ kind: 'expired' } as const, 410, 'expired'],
  ])('shows %o, reloads included', async (outcome, status, text) => {
    const page = browse(callback)
    await signIn.response
    signIn.finish(outcome)
    const { finalUrl, ...shown } = await page
    expect(shown.status).toBe(status)
    expect(shown.body).toContain(text)
    expect(await ask(finalUrl)).toMatchObject({ status, body: shown.body })
  })

  it('[STATE-04] counts once: repeated hits wait for the same outcome and get the same page', async () => {
    const first = browse(callback)
    await signIn.response
    const second = browse(`${listener.redirectUri}?code=another&state=${request1.state}`)
    expect(await isPending(second)).toBe(true)
    signIn.finish({ kind: 'success' })
    const late = await browse(callback)
    expect((await second).body).toBe((await first).body)
    expect(late.body).toBe((await first).body)
    expect((await signIn.response).get('code')).toBe('the-code')
  })

  it('survives a browser that went away while its answer was held', async () => {
    const socket = connect(listener.port, '127.0.0.1', () =>
      socket.write(
        `GET ${new URL(callback).pathname}${new URL(callback).search} HTTP/1.1\r\nHost: 127.0.0.1:${listener.port}\r\n\r\n`,
      ),
    )
    await signIn.response
    socket.destroy()
    const second = browse(callback)
    expect(await isPending(second)).toBe(true)
    signIn.finish({ kind: 'success' })
    expect((await second).status).toBe(200)
  })

  it('shows nothing under the address of the page before there is an outcome', async () => {
    const held = ask(callback)
    await signIn.response
    expect((await ask(`http://127.0.0.1:${listener.port}/done/`)).status).toBe(404)
    signIn.finish({ kind: 'success' })
    await held
  })

  it('that comes after the end gets the outcome while the listener lives, and its code is ignored', async () => {
    signIn.finish({ kind: 'expired' })
    await expect(signIn.response).rejects.toMatchObject({ code: 'sign_in_cancelled' })
    expect(await browse(callback)).toMatchObject({ status: 410 })
  })

  it('keeps the first outcome', async () => {
    signIn.finish({ kind: 'cancelled' })
    signIn.finish({ kind: 'success' })
    expect((await browse(callback)).body).toContain('cancelled')
  })
})

describe('S16: a stray or forged callback is ignored and the real one still wins', () => {
  it.each([
    ['[STATE-02] a foreign state', '?code=ATTACKER_CODE&state=ARBITRARY'],
    ['[STATE-02] no state', '?code=ATTACKER_CODE'],
    ['[STATE-02] an error without state', '?error=access_denied'],
    ['[STATE-02] an error with a foreign state', '?error=access_denied&state=ARBITRARY'],
    ['an empty state', '?code=x&state='],
    ['no query', ''],
    ['the state in another case', `?code=x&state=${request1.state.toUpperCase()}`],
    ['the beginning of the state', `?code=x&state=${request1.state.slice(0, -1)}`],
    ['the state twice', `?code=x&state=${request1.state}&state=ARBITRARY`],
    ['the same state twice', `?code=x&state=${request1.state}&state=${request1.state}`],
    ['two codes', `?code=ATTACKER_CODE&code=y&state=${request1.state}`],
    ['two issuers', `?code=x&iss=a&iss=b&state=${request1.state}`],
  ])('%s', async (_what, query) => {
    const got = await ask(listener.redirectUri + query)
    expect(got.status).toBe(400)
    expect(got.body).not.toContain('ATTACKER_CODE')
    await expectRealCallbackToWin()
  })

  it.each(['HEAD', 'POST', 'PUT', 'OPTIONS', 'DELETE'])('%s with the right state', async (method) => {
    const got = await ask(callback, { method })
    expect(got.status).toBe(405)
    expect(got.headers.allow).toBe('GET')
    await expectRealCallbackToWin()
  })

  it('the right state on another path', async () => {
    const query = new URL(callback).search
    for (const path of [
      '/',
      '/favicon.ico',
      '/callback/',
      '/callback/x',
      '/Callback',
      '//callback',
      '/oauth/callback',
    ]) {
      expect((await ask(`http://127.0.0.1:${listener.port}${path}${query}`)).status).toBe(404)
    }
    await expectRealCallbackToWin()
  })

  it('the state of another sign-in that waits on another path of the same port', async () => {
    const other = await createLoopbackReceiver().listen({
      host: '127.0.0.1',
      port: listener.port,
      path: '/other',
      alternatives: [],
    })
    expect((await ask(`${other.redirectUri}?code=x&state=${request1.state}`)).status).toBe(400)
    await other.close()
    await expectRealCallbackToWin()
  })
})

describe('S17: DNS rebinding', () => {
  it.each([
    'evil.example',
    'evil.example:{port}',
    '127.0.0.1',
    'localhost',
    '127.0.0.1:1',
    'localhost.evil.example:{port}',
    '127.0.0.1:{port}.evil.example',
    '0.0.0.0:{port}',
    '127.1:{port}',
  ])('[REDIR-06] Host %j is refused, also with the right state', async (pattern) => {
    const Host = pattern.replace('{port}', String(listener.port))
    expect((await ask(callback, { headers: { Host } })).status).toBe(421)
    expect((await ask(signIn.startUrl, { headers: { Host } })).status).toBe(421)
    expect((await ask(signIn.startUrl)).status).toBe(302)
    await expectRealCallbackToWin()
  })

  it.each(['localhost', 'LOCALHOST', '127.0.0.1', '[::1]'])(
    'Host %s with the port is served',
    async (name) => {
      const got = await ask(signIn.startUrl, { headers: { Host: `${name}:${listener.port}` } })
      expect(got.status).toBe(302)
    },
  )

  it('[REDIR-06] a missing or repeated Host and an absolute target are refused', async () => {
    const { pathname, search, host } = new URL(callback)
    const head = `GET ${pathname}${search} HTTP/1.1\r\n`
    expect(await rawRequest(listener.port, `${head}Connection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 421 /)
    expect(await rawRequest(listener.port, `${head}Host:\r\n\r\n`)).toMatch(/^HTTP\/1\.1 421 /)
    expect(await rawRequest(listener.port, `${head}Host: ${host}\r\nHost: evil.example\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 421 /,
    )
    expect(
      await rawRequest(
        listener.port,
        `GET http://evil.example${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ),
    ).toMatch(/^HTTP\/1\.1 400 /)
    await expectRealCallbackToWin()
  })
})

describe('every answer', () => {
  it('[REDIR-07] S15: forbids scripts, sniffing, referrers, frames, storing', async () => {
    const held = ask(callback)
    await signIn.response
    signIn.finish({ kind: 'success' })
    const redirect = await held
    const answers = [
      redirect,
      await ask(new URL(redirect.headers.location ?? '', callback).href),
      await ask(`${listener.redirectUri}?error=x&error_description=<script>alert(1)</script>`),
      await ask(signIn.startUrl),
      await ask(`http://127.0.0.1:${listener.port}/favicon.ico`),
      await ask(callback, { method: 'POST' }),
      await ask(callback, { headers: { Host: 'evil.example' } }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([303, 200, 400, 200, 404, 405, 421])
    for (const { headers, body } of answers) {
      expect(headers).toMatchObject({
        connection: 'close',
        'cache-control': 'no-store',
        'cross-origin-opener-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      })
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'$/,
      )
      expect(body).not.toMatch(/<script|alert\(1\)/)
    }
  })
})

describe('limits', () => {
  it('an address over 16 KB is refused', async () => {
    expect((await ask(`${callback}&x=${'a'.repeat(17_000)}`)).status).toBe(414)
    await expectRealCallbackToWin()
  })

  it('a long code and a developer’s pile of localhost cookies are not', async () => {
    const held = ask(`${listener.redirectUri}?code=${'c'.repeat(12_000)}&state=${request1.state}`, {
      headers: { Cookie: `a=${'b'.repeat(40_000)}` },
    })
    expect((await signIn.response).get('code')).toHaveLength(12_000)
    signIn.finish({ kind: 'success' })
    expect((await held).status).toBe(303)
  })

  it('headers without end are refused', async () => {
    const answer = await rawRequest(listener.port, `GET / HTTP/1.1\r\nX: ${'a'.repeat(100_000)}`)
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
    await expectRealCallbackToWin()
  })
})

describe('two sign-ins on one port', () => {
  it('[STATE-03] are told apart by state, in whatever order the answers come', async () => {
    const second = await createLoopbackReceiver().listen({
      host: '127.0.0.1',
      port: listener.port,
      path: '/callback',
      alternatives: [],
    })
    const other = second.expect({ ...request1, state: 'second', serverName: 'github' })
    const otherPage = browse(`${second.redirectUri}?code=code-2&state=second`)
    expect((await other.response).get('code')).toBe('code-2')
    const page = browse(callback)
    expect((await signIn.response).get('code')).toBe('the-code')
    other.finish({ kind: 'cancelled' })
    signIn.finish({ kind: 'success' })
    expect((await page).body).toContain('Signed in to linear')
    expect((await otherPage).body).toContain('github was not given access')
    await second.close()
    // The port is still the first one's, and it still knows how the second one ended.
    expect((await browse(`${second.redirectUri}?code=code-2&state=second`)).body).toContain('github')
  })

  it('cannot wait for the same state', () => {
    expect(() => listener.expect(request1)).toThrow(TypeError)
    expect(() => listener.expect({ ...request1, state: '' })).toThrow(TypeError)
  })

  it('are forgotten when many came after them', async () => {
    signIn.finish({ kind: 'success' })
    for (let n = 0; n < 40; n++)
      listener.expect({ ...request1, state: `later-${n}` }).finish({ kind: 'expired' })
    expect((await ask(callback)).status).toBe(400)
    expect((await ask(`${listener.redirectUri}?code=x&state=later-39`)).status).toBe(303)
  })
})
