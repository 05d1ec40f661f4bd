import { expect, test } from 'vitest'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import type { AuthorizationStarted } from '../events.ts'
import { createSignInTalk } from './sign-in-talk.ts'
import { Talk } from './talk.ts'

const redirect_uri = 'http://localhost:8080/callback'
const long = `https://as.example/authorize?${'x'.repeat(3000)}`

function conversation(isTerminal: boolean) {
  const clock = createManualClock()
  const written: string[] = []
  const tell = createSignInTalk(new Talk({ isTerminal, write: (text) => void written.push(text) }), clock)
  const start = (change: Partial<AuthorizationStarted> = {}): void =>
    tell({
      type: 'authorization_started',
      server: 'demo',
      server_host: 'mcp.example',
      issuer: 'https://as.example',
      authorization_host: 'as.example',
      scope: 'read write',
      redirect_uri,
      client_kind: 'pre-registered',
      authorization_url: long,
      start_url: 'http://localhost:8080/x',
      deadline: clock.now() + 300_000,
      ...change,
    })
  return { clock, tell, start, written, text: () => written.join('') }
}

test('[OPEN-05] the whole URL stands on a line of its own, and the exact redirect URI before the browser opens', () => {
  const { start, text } = conversation(false)
  start()
  const lines = text().split('\n')
  expect(lines).toContain(long)
  expect(lines).toContain(`  callback  ${redirect_uri}`)
  expect(text()).toContain('as.example')
  expect(text()).toContain('read write')
})

test('an automatically registered client needs no talk of redirect URIs', () => {
  const { start, tell, text } = conversation(false)
  start({ client_kind: 'dynamic' })
  expect(text()).not.toContain(redirect_uri)
  tell({ type: 'authorization_waiting', server: 'demo', redirect_uri, client_kind: 'dynamic', elapsed: 30 })
  expect(text()).toContain('latchkey login`')
})

test('whoever waits for another process is told so; a queue of our own is no news', () => {
  const { tell, text } = conversation(false)
  tell({ type: 'sign_in_queued', server: 'demo', ahead: 1 })
  expect(text()).toBe('')
  tell({ type: 'sign_in_queued', server: 'demo', ahead: 1, elsewhere: 'same_login' })
  expect(text()).toContain('Another process is signing in here')
  tell({ type: 'sign_in_queued', server: 'demo', ahead: 1, elsewhere: 'other_login' })
  expect(text()).toContain('to another server')
})

test('after 30 s the redirect URI to register is said again', () => {
  const { start, tell, written } = conversation(false)
  start()
  written.length = 0
  tell({
    type: 'authorization_waiting',
    server: 'demo',
    redirect_uri,
    client_kind: 'pre-registered',
    elapsed: 30,
  })
  expect(written.join('')).toContain(`\n  ${redirect_uri}\n`)
})

test('another sign-in page than the issuer is named', () => {
  const { start, text } = conversation(false)
  start({ authorization_host: 'login.other.example' })
  expect(text()).toContain('as.example, sign-in page at login.other.example')
})

test('[OPEN-05] the host of the server is shown where neither its name nor the resource says it', () => {
  const { start, text } = conversation(false)
  start()
  expect(text()).toContain('Sign-in to demo\n  server    mcp.example\n  login at  as.example\n')
  const shown = { resource: 'https://mcp.example/mcp' }
  const second = conversation(false)
  second.start(shown)
  expect(second.text()).toContain(
    'Sign-in to demo\n  login at  as.example\n  for       https://mcp.example/mcp\n',
  )
  const third = conversation(false)
  third.start({ ...shown, server_host: 'mcp.example:8443' })
  expect(third.text()).toContain('  server    mcp.example:8443\n')
})

test('a host in punycode stays that, with a warning and, on a line of its own, what it looks like', () => {
  const { start, text } = conversation(false)
  start({ issuer: 'https://xn--pypal-4ve.com', authorization_host: 'xn--pypal-4ve.com' })
  expect(text()).toContain(
    [
      '  login at  xn--pypal-4ve.com',
      '            The name `xn--pypal-4ve.com` has letters of another alphabet',
      '            (Cyrillic). It can look like a name you know and belong to somebody',
      '            else. It is written',
      '            pаypal.com',
      '',
    ].join('\n'),
  )
  const both = conversation(false)
  both.start({
    server_host: 'xn--80ak6aa92e.com',
    resource: 'https://xn--80ak6aa92e.com/mcp',
    authorization_host: 'xn--pypal-4ve.com:8443',
    needs_confirmation: true,
  })
  expect(both.text()).toContain('  server    xn--80ak6aa92e.com\n')
  expect(both.text()).toContain('            аррӏе.com\n')
  expect(both.text()).toContain('as.example, sign-in page at xn--pypal-4ve.com:8443\n')
  expect(both.text()).toContain('            Your browser asks you first whether that is right.\n')
  expect(both.text()).toContain('            pаypal.com\n')
})

test('S22: what a server names cannot look like lines of ours, nor steer the terminal', () => {
  const { start, text } = conversation(true)
  const forged = `read${' '.repeat(70)}login at  as.trusted.example\r\n  login at  x\u001b]8;;x\u0007\u202e`
  start({ server: forged, scope: forged, resource: forged })
  expect(text()).not.toMatch(
    /[\u0000-\u0009\u000b\u000c\u000e-\u001a\u001c-\u001f\u0080-\u009f\u202e]|\u001b(?!\[K)/,
  )
  expect(text().match(/^ {2}login at/gm)).toEqual(['  login at'])
  expect(text()).not.toMatch(/read {2}/)
})

test('on a terminal one line counts the time, stays last, and is gone in the end', async () => {
  const { start, tell, clock, written } = conversation(true)
  start()
  expect(written.at(-1)).toContain('0:00 of 5:00')
  for (let second = 0; second < 61; second++) await clock.elapse((delay) => delay === 1000)
  expect(written.at(-1)).toContain('1:01 of 5:00')
  tell({ type: 'browser_opened', server: 'demo' })
  expect(written.at(-1)).toContain('1:01 of 5:00')
  tell({ type: 'authorization_responded', server: 'demo' })
  expect(written.at(-1)).toBe('\r\u001b[K')
  const [before] = [written.length]
  tell({ type: 'browser_opened', server: 'demo' })
  expect(written.length).toBe(before)
})

test('elsewhere no seconds are counted', async () => {
  const { start, clock, text } = conversation(false)
  start()
  await clock.elapse((delay) => delay === 1000)
  expect(text()).not.toMatch(/Waiting|\r|\u001b/)
})

test('a browser that did not open leaves the URL to the person', () => {
  const { start, tell, text } = conversation(false)
  start()
  tell({ type: 'browser_failed', server: 'demo', reason: 'xdg-open is not installed.\nOpen it by hand.' })
  expect(text()).toContain(
    'Could not open a browser: open the URL above yourself.\n  xdg-open is not installed.\n',
  )
})
