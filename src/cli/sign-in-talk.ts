import { internationalHost } from '../errors/international-host.ts'
import { cleanServerText } from '../errors/server-text.ts'
import type { AuthorizationStarted, AuthorizationWaiting, EventListener, LatchkeyEvent } from '../events.ts'
import type { Clock } from '../ports.ts'
import type { Talk } from './talk.ts'
import { fields } from './text-block.ts'

/**
 * Tells the person what a sign-in wants of them: who asks and who is asked, the URL, that the browser opened or did
 * not, how long it has been waiting.
 */
export function createSignInTalk(talk: Talk, clock: Clock): EventListener {
  let stopWaiting: () => void = () => {}
  let isWaiting = false

  const wait = (deadline: number): void => {
    const started = clock.monotonic()
    const total = deadline - clock.now()
    isWaiting = true
    const tick = (): void => {
      const elapsed = clock.monotonic() - started
      talk.progress(
        `Waiting for you in the browser: ${minutes(elapsed)} of ${minutes(total)} (Ctrl-C cancels)`,
      )
      const cancel = clock.setTimer(tick, 1000, { unref: true })
      stopWaiting = () => {
        cancel()
        isWaiting = false
        talk.clear()
      }
    }
    tick()
  }

  return (event: LatchkeyEvent) => {
    switch (event.type) {
      case 'redirect_listening':
        if (event.instead_of !== undefined)
          talk.say(`Port ${event.instead_of} is taken; this sign-in uses ${event.redirect_uri}`)
        break
      case 'sign_in_queued':
        if (event.elsewhere) talk.say(QUEUED[event.elsewhere])
        break
      case 'authorization_started':
        stopWaiting()
        for (const line of announcement(event)) talk.say(line)
        wait(event.deadline)
        break
      case 'browser_opened':
        // A launcher is believed after a moment; a person (or a program in their place) may have been faster.
        if (isWaiting) talk.say('Opened your browser: finish signing in there.')
        break
      case 'browser_failed':
        if (isWaiting)
          talk.say(`Could not open a browser: open the URL above yourself.\n  ${reason(event.reason)}`)
        break
      case 'authorization_waiting':
        if (isWaiting) for (const line of reminder(event)) talk.say(line)
        break
      case 'authorization_responded':
        stopWaiting()
        break
    }
  }
}

/** The URL stands alone on its line, whole and unwrapped, so that it can be copied. */
function announcement(event: AuthorizationStarted): string[] {
  const { server, scope, resource, redirect_uri, client_kind, authorization_url } = event
  return [
    `Sign-in to ${oneLine(server, 200)}`,
    ...fields([
      ...serverField(event),
      ['login at', authorizationHosts(event)],
      ...(resource === undefined || resource === server ? [] : [['for', oneLine(resource, 1000)] as const]),
      ['scope', scope === undefined ? 'whatever the server gives' : oneLine(scope, 1000)],
      ...(client_kind === 'dynamic' || client_kind === 'none'
        ? []
        : ([
            ['callback', redirect_uri],
            ['', `(the ${CLIENT[client_kind]} with exactly this redirect URI)`],
          ] as const)),
    ]),
    '',
    authorization_url,
    '',
  ]
}

/** The host of the server, where neither its name nor the resource shows it. */
function serverField({ server, server_host, resource }: AuthorizationStarted): [string, string][] {
  const shown = [server, resource ?? ''].map((url) => (URL.canParse(url) ? new URL(url).host : ''))
  const warning = warningLines(server_host)
  if (shown.includes(server_host) && warning.length === 0) return []
  return [['server', [server_host, ...warning].join('\n')]]
}

function authorizationHosts(event: AuthorizationStarted): string {
  const { issuer, authorization_host, needs_confirmation } = event
  const issuerHost = new URL(issuer).host
  const hosts = issuerHost === authorization_host ? [issuerHost] : [issuerHost, authorization_host]
  return [
    hosts.join(', sign-in page at '),
    ...(needs_confirmation ? ['Your browser asks you first whether that is right.'] : []),
    ...hosts.flatMap(warningLines),
  ].join('\n')
}

/** A host that is not plain keeps its spelling; how it looks stands alone, where no letters can reorder others. */
function warningLines(host: string): string[] {
  const international = internationalHost(host)
  return international ? [`${international.warning} It is written`, international.written] : []
}

/** Text of a server with single spaces, so that it cannot be laid out like lines of ours. */
function oneLine(text: string, limit: number): string {
  return cleanServerText(text, limit).replace(/\s+/g, ' ')
}

const QUEUED = {
  same_login: 'Another process is signing in here: waiting for it to finish there (Ctrl-C cancels).',
  other_login: 'Another process is signing in to another server: this one comes next (Ctrl-C cancels).',
}

const CLIENT = {
  'pre-registered': 'client must be registered',
  'metadata-document': "client's metadata document must be published",
}

function reminder({ elapsed, redirect_uri, client_kind }: AuthorizationWaiting): string[] {
  if (client_kind !== 'dynamic') {
    return [
      `No answer for ${elapsed} s. If the browser shows an error about the redirect URI, ${client_kind === 'pre-registered' ? 'register' : 'publish'} exactly this one:`,
      `  ${redirect_uri}`,
    ]
  }
  return [
    `No answer for ${elapsed} s. If the browser shows an error instead of a sign-in page: Ctrl-C, then`,
    '`latchkey login`, which then registers a new client.',
  ]
}

/** Without the advice that the line before already gave. */
function reason(text: string): string {
  return cleanServerText(text.split('\n')[0]!)
}

function minutes(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
