import { internationalHost } from '../errors/international-host.ts'
import type { ExpectedRedirect, RedirectOutcome } from '../ports.ts'
import { type PageContent, pageDocument } from './callback-page-document.ts'
import { plainLine, plainText } from './callback-page-text.ts'

/** A page with the HTTP status that fits it. */
export interface CallbackPage {
  readonly status: number
  readonly html: string
}

/** Characters of scope: with more of them nobody finds the answer below. */
const longestScope = 600

/** Who asks and who is asked. */
export type PageSubject = Pick<
  ExpectedRedirect,
  'serverName' | 'serverHost' | 'authorizationHost' | 'scope' | 'loginCommand'
>

/** What the person sees at the end of a sign-in. Every text in it may come from a hostile server. */
export function outcomePage(outcome: RedirectOutcome, subject: PageSubject): CallbackPage {
  const name = plainLine(subject.serverName, 100)
  const facts = factsOf(subject)
  switch (outcome.kind) {
    case 'success':
      return page(200, {
        tone: 'success',
        heading: `Signed in to ${name}`,
        lead: 'You can close this tab and return to your terminal.',
        facts,
      })
    case 'cancelled':
      return page(200, {
        tone: 'cancelled',
        heading: 'Sign-in cancelled',
        lead: outcome.message
          ? plainText(outcome.message, 600)
          : `${name} was not given access. Nothing was saved.`,
        next: again(subject, 'Changed your mind?'),
        facts,
      })
    case 'expired':
      return page(410, {
        tone: 'expired',
        heading: 'This sign-in has expired',
        lead: `The answer for ${name} came after latchkey had stopped waiting for it, so it was not used. Nothing was saved.`,
        next: again(subject, 'Start again'),
        facts,
      })
    case 'error':
      return page(400, {
        tone: 'error',
        heading: plainLine(outcome.title ?? '', 120) || `Could not sign in to ${name}`,
        lead: plainText(outcome.message, 600),
        next: outcome.remedy
          ? { heading: 'What to do', text: plainText(outcome.remedy, 900) }
          : again(subject, 'Try again'),
        facts: outcome.code ? [...facts, ['Error code', plainLine(outcome.code, 80)]] : facts,
      })
  }
}

/**
 * Before the person is sent to a sign-in page that does not belong to the authorization server that was named, or whose
 * name may only look like one they know.
 */
export function confirmationPage(
  subject: PageSubject,
  issuerHost: string,
  continuePath: string,
  declinePath: string,
): CallbackPage {
  const name = plainLine(subject.serverName, 100)
  const host = plainLine(subject.authorizationHost, 253)
  const issuer = plainLine(issuerHost, 253)
  const isForeign = host !== issuer
  const warning = internationalHost(host)?.warning
  return page(200, {
    tone: 'question',
    heading: isForeign ? 'Is this the right sign-in page?' : 'Do you know this sign-in page?',
    lead: isForeign
      ? `${name} names \`${issuer}\` as its authorization server, but sends you to a sign-in page elsewhere:\n\`${host}\``
      : `To sign you in, ${name} sends you to:\n\`${host}\``,
    next: {
      heading: 'Continue only if you expect this',
      text: [
        ...(warning ? [warning] : []),
        `Whoever runs \`${host}\` sees what you type there.${isForeign ? ` If you do not know that it belongs to \`${issuer}\`, do not continue.` : ''}`,
      ].join('\n'),
    },
    facts: [
      serverFact(subject),
      ...hostFacts('Authorization server', issuer),
      ...(isForeign ? hostFacts('Sign-in page at', host) : []),
      ['Asks for', scopeText(subject.scope)],
    ],
    choices: [
      { kind: 'continue', path: continuePath, label: `Continue to \`${host}\`` },
      { kind: 'decline', path: declinePath, label: 'Do not continue' },
    ],
  })
}

/** For a start link that was followed a second time: somebody may have been faster, or the browser opened it twice. */
export function usedLinkPage(subject: PageSubject): CallbackPage {
  return page(410, {
    tone: 'expired',
    heading: 'This link was already used',
    lead: 'A sign-in link works once. If the sign-in is open in another tab, go on there.',
    next: {
      heading: 'No other tab?',
      text: 'Return to your terminal. Stop the sign-in that waits there and start a new one:',
      command: plainLine(subject.loginCommand, 300),
    },
    facts: factsOf(subject),
  })
}

/** For a callback that nothing here waits for. Repeats nothing of what it said. */
export function unknownAnswerPage(): CallbackPage {
  return page(400, {
    tone: 'expired',
    heading: 'Nobody is waiting for this answer',
    lead: 'It belongs to a sign-in that is over, or to none that was started here. It was not used, and nothing was saved.',
    next: {
      heading: 'What to do',
      text: 'Return to your terminal. If a sign-in still waits there, finish it in the tab it opened; otherwise start a new one.',
    },
    facts: [],
  })
}

function page(status: number, content: PageContent): CallbackPage {
  return { status, html: pageDocument(content) }
}

function again({ loginCommand }: PageSubject, heading: string): NonNullable<PageContent['next']> {
  const command = plainLine(loginCommand, 300)
  return { heading, text: 'Return to your terminal and sign in once more:', command }
}

function factsOf(subject: PageSubject): PageContent['facts'] {
  return [serverFact(subject), ...hostFacts('Sign-in at', plainLine(subject.authorizationHost, 253))]
}

/** Whole scopes only, and how many there are. */
function scopeText(scope = ''): string {
  const values = scope.split(' ').filter((value) => value !== '')
  let length = 0
  const shown = values.filter((value) => {
    length += value.length + 1
    return length <= longestScope
  })
  const more = values.length - shown.length
  const text = [plainLine(shown.join(' '), longestScope), more > 0 ? `and ${more} more` : '']
  return text.filter((part) => part !== '').join(' ') || 'whatever the server gives'
}

/** Its name with its host, unless the name is its URL. */
function serverFact({ serverName, serverHost }: PageSubject): readonly [string, string] {
  const name = plainLine(serverName, 200)
  const host = plainLine(serverHost, 253)
  return ['Server', name.includes(host) ? name : `${name} (\`${host}\`)`]
}

/** A host as it is spelled on the wire; how it looks stands below it, for whoever compares it with what they know. */
function hostFacts(label: string, host: string): PageContent['facts'] {
  const international = internationalHost(host)
  return [
    [label, `\`${host}\``],
    ...(international ? [['which is written', `\`${international.written}\``] as const] : []),
  ]
}
