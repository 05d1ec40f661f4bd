import type { ExpectedRedirect, RedirectOutcome } from '../ports.ts'
import { type PageContent, pageDocument } from './callback-page-document.ts'
import { plainLine, plainText } from './callback-page-text.ts'

/** A page with the HTTP status that fits it. */
export interface CallbackPage {
  readonly status: number
  readonly html: string
}

/** Who asks and who is asked. */
export type PageSubject = Pick<ExpectedRedirect, 'serverName' | 'authorizationHost' | 'loginCommand'>

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

function factsOf({ serverName, authorizationHost }: PageSubject): PageContent['facts'] {
  return [
    ['Server', plainLine(serverName, 200)],
    ['Sign-in at', plainLine(authorizationHost, 253)],
  ]
}
