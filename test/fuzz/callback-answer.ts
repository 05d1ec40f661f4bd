import assert from 'node:assert/strict'
import { contentSecurityPolicy, pageStyle } from '../../src/node/callback-page-style.ts'

/** An HTTP answer of the loopback port. */
export interface CallbackAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** The answers that stand one behind the other in what a server wrote. */
export function readAnswers(bytes: Buffer): CallbackAnswer[] {
  const answers: CallbackAnswer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf('\r\n\r\n', start)
    assert.ok(end >= 0, 'an answer without an end of its head')
    const [first = '', ...lines] = bytes.toString('latin1', start, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) [\w -]+$/.exec(first)?.[1])
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(': ')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)]
      }),
    )
    const isHead = status === 204
    const length = isHead ? 0 : Number(headers.get('content-length') ?? 0)
    answers.push({ status, headers, body: bytes.toString('utf8', end + 4, end + 4 + length) })
    start = end + 4 + length
  }
  return answers
}

/** What Node itself says to bytes that are no request: a head without anything of ours, and no body. */
const OF_NODE = [400, 408, 413, 431]

const ALWAYS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': contentSecurityPolicy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const REFUSALS = [
  'This host is not served here.\n',
  'Only GET is answered here.\n',
  'The address is too long.\n',
  'The address is not a path.\n',
  'There are too many headers.\n',
  'Nothing but a head is taken here.\n',
  'Nothing here is part of another page.\n',
  'Nobody can answer for the person.\n',
  'This answer has arrived.\n',
  'There is nothing here.\n',
  'This link is not for looking ahead.\n',
]

/** Each answer has the headers that keep it harmless, and a body that is plain text of ours or a page without a trap. */
export function assertIsAnswer({ status, headers, body }: CallbackAnswer): void {
  if (OF_NODE.includes(status) && body === '' && !headers.has('content-security-policy')) return
  for (const [name, value] of Object.entries(ALWAYS))
    assert.equal(headers.get(name), value, `${status}: ${name}`)
  assert.equal(headers.get('access-control-allow-origin'), undefined)
  const type = headers.get('content-type')
  if (type?.startsWith('text/html')) assertPageIsHarmless(body)
  else assert.ok(body === '' || REFUSALS.includes(body), JSON.stringify(body.slice(0, 100)))
}

/** Every tag of a page with every attribute it may have; what stands in quotes is checked apart. */
const TAG =
  /^<(?:!doctype html|html lang="en"|meta [a-z"= -]+[^<>]*|\/?(?:html|head|title|body|main|style|div|h1|h2|p|code|section|dl|dt|dd|nav|a|footer|svg|circle|g|path)|body class="[a-z]+"|div role="status"|p class="lead"|code class="command"|section class="next" aria-labelledby="next"|h2 id="next"|nav aria-label="Your answer"|a class="(?:continue|decline)" href="\/(?:continue|decline)\/[\w-]{22}"|svg class="mark"[\w "=.-]+|circle [\w "=.-]+\/|g class="[a-z]+"[\w "=.()-]+|path d="[\w .-]+"\/)>/

const HIDDEN = /(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u

function assertPageIsHarmless(html: string): void {
  const page = html.replace(`<style>${pageStyle}</style>`, '<style></style>')
  assert.ok(page !== html, 'the style is the one that the policy allows')
  assert.equal(HIDDEN.exec(page), null)
  for (let at = page.search(/[<&]/); at >= 0; ) {
    const rest = page.slice(at)
    const match = (rest.startsWith('<') ? TAG : /^&#\d+;/).exec(rest)
    assert.ok(match, `unescaped: ${JSON.stringify(rest.slice(0, 80))}`)
    const next = rest.slice(match[0].length).search(/[<&]/)
    at = next < 0 ? -1 : at + match[0].length + next
  }
  // Quotes and backticks in text are escaped as well, so that nothing ever ends an attribute.
  const text = page.replace(/<[^>]*>/g, '')
  assert.doesNotMatch(text, /["'`<>]/)
}
