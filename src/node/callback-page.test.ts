import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { RedirectOutcome } from '../ports.ts'
import { confirmationPage, outcomePage, unknownAnswerPage, usedLinkPage } from './callback-page.ts'
import { contentSecurityPolicy } from './callback-page-style.ts'

const subject = {
  serverName: 'linear',
  serverHost: 'mcp.linear.app',
  authorizationHost: 'auth.linear.app',
  loginCommand: 'latchkey login linear --account work',
}
const outcomes: RedirectOutcome[] = [
  { kind: 'success' },
  { kind: 'error', title: 'T', message: 'M', remedy: 'R', code: 'C' },
  { kind: 'error', message: 'M' },
  { kind: 'cancelled' },
  { kind: 'cancelled', message: 'M' },
  { kind: 'expired' },
]
const pages = [
  ...outcomes.map((outcome) => outcomePage(outcome, subject)),
  usedLinkPage(subject),
  unknownAnswerPage(),
]

/** What a person reads: no tags, no style. */
function textOf(html: string): string {
  return html
    .replace(/<(style|title)>.*?<\/\1>/gs, '')
    .replace(/<code>(.*?)<\/code>/g, '$1')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replace(/\s+/g, ' ')
}

describe('every page', () => {
  it.each(pages.map(({ html }) => html))('stands alone and is well formed (%#)', (html) => {
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(html).not.toMatch(
      /<script|<link|<img|<form|<iframe|<meta http-equiv|\ssrc=|\shref=|\son\w+=|\sstyle=|url\(|@import/i,
    )
    expect(html.match(/<h1>/g)).toHaveLength(1)
    expect(html.match(/<main>/g)).toHaveLength(1)
    expect(html).toContain('role="status"')
    expect(html).toMatch(/<title>.+ – latchkey<\/title>/)
    expect(textOf(html)).toContain('terminal')
  })

  it.each(pages.map(({ html }) => html))('has exactly the style that the policy allows (%#)', (html) => {
    const style = /<style>(.*)<\/style>/s.exec(html)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(contentSecurityPolicy).toContain(`style-src 'sha256-${hash}'`)
  })
})

describe('the words', () => {
  it('success', () => {
    const text = textOf(outcomePage({ kind: 'success' }, subject).html)
    expect(text).toContain('Signed in to linear You can close this tab and return to your terminal.')
    expect(text).toContain('Sign-in at auth.linear.app')
  })

  it('error', () => {
    const outcome = {
      kind: 'error',
      title: 'The code was refused',
      message: 'auth.linear.app said invalid_grant.\nTwice.',
      remedy: 'Set `callback_port` to 8080.',
      code: 'token_request_refused',
    } as const
    const { html } = outcomePage(outcome, subject)
    expect(html).toContain('<h1>The code was refused</h1>')
    expect(html).toContain('<p class="lead">Twice.</p>')
    expect(html).toContain('Set <code>callback_port</code> to 8080.')
    expect(html).toContain('token_request_refused')
    expect(html).not.toContain('latchkey login')
    expect(outcomePage({ kind: 'error', message: 'No.' }, subject).html).toContain('latchkey login linear')
  })

  it('the command to try again is the one that signs in to this very account', () => {
    const { html } = outcomePage({ kind: 'expired' }, subject)
    expect(textOf(html)).toContain('latchkey login linear --account work ')
  })
})

describe('the question', () => {
  const ask = (change: Partial<typeof subject> & { scope?: string }, issuer: string) =>
    textOf(confirmationPage({ ...subject, ...change }, issuer, '/continue/x', '/decline/x').html)

  it('[OPEN-05] names the server with its host, both hosts, and what is asked for', () => {
    const text = ask({ scope: 'read write' }, 'as.example')
    expect(text).toContain('Server linear (mcp.linear.app)')
    expect(text).toContain('Authorization server as.example Sign-in page at auth.linear.app')
    expect(text).toContain('Asks for read write')
    expect(ask({}, 'as.example')).toContain('Asks for whatever the server gives')
  })

  it('a name in punycode is never shown in its letters alone, and what they are is said', () => {
    for (const issuer of ['as.example', 'xn--pypal-4ve.com']) {
      const text = ask({ authorizationHost: 'xn--pypal-4ve.com' }, issuer)
      expect(text).toContain('xn--pypal-4ve.com has letters of another alphabet (Cyrillic)')
      expect(text).toContain('xn--pypal-4ve.com which is written pаypal.com')
      expect(text).toContain('Continue to xn--pypal-4ve.com')
    }
    const page = outcomePage({ kind: 'success' }, { ...subject, authorizationHost: 'xn--pypal-4ve.com' })
    expect(textOf(page.html)).toContain('Sign-in at xn--pypal-4ve.com which is written pаypal.com')
  })

  it('many scopes: whole ones, and how many more there are', () => {
    const scopes = Array.from({ length: 90 }, (_, n) => `scope-${String(n).padStart(2, '0')}`)
    const asked = /Asks for (.*) Continue/.exec(ask({ scope: scopes.join(' ') }, 'as.example'))?.[1]
    expect(asked).toMatch(/^scope-00 .* scope-65 and 24 more$/)
    expect(ask({ scope: `${'x'.repeat(5000)} last` }, 'as.example')).toContain('Asks for and 2 more')
  })

  it('a server that is called by its URL is not named twice', () => {
    const text = ask({ serverName: 'https://mcp.linear.app/mcp' }, 'as.example')
    expect(text).toContain('Server https://mcp.linear.app/mcp Authorization server')
  })
})

describe('S15, S22: text from outside', () => {
  const hostile = `</style></title></h1><script>alert(1)</script>"'\`><img src=x onerror=alert(1)>&lt;\`<b>\``

  it('is escaped wherever it stands', () => {
    const outcome = {
      kind: 'error',
      title: hostile,
      message: hostile,
      remedy: hostile,
      code: hostile,
    } as const
    const { html } = outcomePage(outcome, {
      serverName: hostile,
      serverHost: hostile,
      authorizationHost: hostile,
      loginCommand: hostile,
    })
    const tags = new Set(html.match(/<\/?[a-z0-9!]+/gi))
    expect([...tags].filter((tag) => /script|img|<b$/i.test(tag))).toEqual([])
    expect(html.match(/<\/(style|title|h1)>/g)).toEqual(['</title>', '</style>', '</h1>'])
    const quiet = outcomePage({ ...outcome, title: 'x', message: 'x', remedy: 'x', code: 'x' }, subject).html
    const count = (text: string): number => text.replace(/<\/?(p|code)\b/g, '').split('<').length
    expect(count(html)).toBe(count(quiet))
    for (const { html: other } of [
      usedLinkPage({
        serverName: hostile,
        serverHost: hostile,
        authorizationHost: hostile,
        loginCommand: hostile,
      }),
    ]) {
      expect(other).not.toMatch(/<script|<img/)
    }
  })

  it('loses controls, reordering and invisible characters', () => {
    const message = 'a\u001b]8;;x\u0007b\u009bc\u202ed\u2066e\u200bf\u0000g\ufeff\r\nh'
    const { html } = outcomePage({ kind: 'error', message, title: message, code: message }, subject)
    expect(html).not.toMatch(
      /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/,
    )
    expect(html).toContain('<p class="lead">h</p>')
  })

  it('loses what is drawn as nothing: tags, fillers, selectors, halves of a pair', () => {
    const message = 'a\u{e0041}b\u3164c\u115fd\u034fe\ufe0ff\u206ag\ud800h\ue000i\u2800j'
    const { html } = outcomePage({ kind: 'error', message }, subject)
    expect(html).toContain('<p class="lead">a b c d e f g h i j</p>')
  })

  it('is cut', () => {
    const long = '😀<'.repeat(100_000)
    const outcome = { kind: 'error', title: long, message: long, remedy: long, code: long } as const
    const { html } = outcomePage(outcome, {
      serverName: long,
      serverHost: long,
      authorizationHost: long,
      loginCommand: long,
    })
    expect(html.length).toBeLessThan(30_000)
    expect(html).toContain('…')
    // No half of a surrogate pair is left over.
    expect(Buffer.from(html).toString()).toBe(html)
  })

  it('an empty title falls back, an empty code is not shown', () => {
    const { html } = outcomePage({ kind: 'error', title: ' \u0007 ', message: 'm', code: '' }, subject)
    expect(html).toContain('<h1>Could not sign in to linear</h1>')
    expect(html).not.toContain('Error code')
  })
})
