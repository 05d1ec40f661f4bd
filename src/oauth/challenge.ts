import { isEcho } from '../echo.ts'
import type { ChallengeSummary } from '../errors/index.ts'
import { sentSecrets } from '../sent-secrets.ts'

/**
 * `WWW-Authenticate`, read by the grammar of RFC 9110 §11.6.1 and tolerant where servers are known to slip:
 * unquoted URLs, single quotes, a missing closing quote, several challenges in one or many header lines.
 */

export interface Challenge {
  /** Lower case: `bearer`, `dpop`, `basic`. */
  readonly scheme: string
  /** The `token68` form (`Negotiate abc==`). */
  readonly token68?: string
  /** By lower-case name; the first of a repeated parameter counts. */
  readonly parameters: ReadonlyMap<string, string>
}

/** A token that is not the name of a parameter. */
const SCHEME = /[!#$%&'*+\-.^_`|~\w]+(?=[ \t,]|$)/y
const TOKEN68 = /([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|$)/y
const PARAMETER = /([!#$%&'*+\-.^_`|~\w]+)[ \t]*=[ \t]*/y
const SEPARATORS = /[ \t,]*/y

/** All challenges of a `WWW-Authenticate` value, in order. An empty list for `null`. */
export function parseChallenges(value: string | null | undefined): Challenge[] {
  const challenges: Challenge[] = []
  const cursor = new Cursor(value ?? '')
  while (!cursor.atEnd()) {
    cursor.skip(SEPARATORS)
    const scheme = cursor.take(SCHEME)
    if (!scheme) {
      // Not a token where a scheme must stand: nothing after it can be trusted to be what it looks like.
      break
    }
    const token68 = cursor.take(TOKEN68)?.[1]
    const parameters = new Map<string, string>()
    if (token68 === undefined) readParameters(cursor, parameters)
    challenges.push({ scheme: scheme[0].toLowerCase(), ...(token68 && { token68 }), parameters })
  }
  return challenges
}

/**
 * The challenge that speaks of OAuth: one with `resource_metadata` first, then Bearer, then DPoP.
 * `undefined` when only other schemes (Basic, Negotiate) are offered.
 */
export function oauthChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  const oauth = challenges.filter(({ scheme }) => scheme === 'bearer' || scheme === 'dpop')
  return (
    oauth.find(({ parameters }) => parameters.has('resource_metadata')) ??
    oauth.find(({ scheme }) => scheme === 'bearer') ??
    oauth[0]
  )
}

/** Schemes that are no secret. */
const USUAL = ['bearer', 'dpop', 'basic', 'digest', 'negotiate', 'ntlm']

/** What a 401 or 403 says, in the form that errors and sign-ins carry, without what repeats a secret of its request. */
export function challengeOf(response: Response): ChallengeSummary {
  const header = response.headers.get('www-authenticate') ?? ''
  const challenges = parseChallenges(header)
  const challenge = oauthChallenge(challenges) ?? challenges[0]
  const { all, credentials } = sentSecrets(response)
  const parameter = (name: 'resource_metadata' | 'scope' | 'error') => {
    const value = challenge?.parameters.get(name)
    return value && !isEcho(value, name === 'resource_metadata' ? credentials : all) ? { [name]: value } : {}
  }
  // Only as it was written an echo is one: in lower case, base64 of a secret is not recognised.
  const isShown = challenge && (USUAL.includes(challenge.scheme) || !isEcho(header, all, header.length))
  const scheme = isShown ? challenge.scheme : undefined
  // `dpop` only where nothing but DPoP is taken, wherever the metadata is named.
  const takesBearer = challenges.some(({ scheme }) => scheme === 'bearer')
  return {
    status: response.status,
    scheme: challenge?.scheme === 'dpop' && takesBearer ? 'bearer' : scheme,
    ...parameter('resource_metadata'),
    ...parameter('scope'),
    ...parameter('error'),
  }
}

/**
 * Whether a challenge asks for scope beside what was asked for before (RFC 6750 §3.1): a 403 does. With a 401 there is nothing
 * to add to, and who says `insufficient_scope` there gets no further than with any other 401.
 */
export function asksForMoreScope(challenge: ChallengeSummary | undefined): challenge is ChallengeSummary {
  return challenge?.error === 'insufficient_scope' && challenge.status !== 401
}

function readParameters(cursor: Cursor, parameters: Map<string, string>): void {
  for (;;) {
    const before = cursor.position
    cursor.skip(SEPARATORS)
    const name = cursor.take(PARAMETER)?.[1]?.toLowerCase()
    if (name === undefined) {
      cursor.position = before
      return
    }
    const value = cursor.takeValue()
    if (!parameters.has(name)) parameters.set(name, value)
  }
}

class Cursor {
  readonly #text: string
  position = 0

  constructor(text: string) {
    this.#text = text
  }

  atEnd(): boolean {
    return this.position >= this.#text.length
  }

  skip(pattern: RegExp): void {
    this.take(pattern)
  }

  take(pattern: RegExp): RegExpExecArray | undefined {
    this.#skipSpaces()
    pattern.lastIndex = this.position
    const match = pattern.exec(this.#text)
    if (!match) return undefined
    this.position = pattern.lastIndex
    return match
  }

  /** A quoted string with its escapes undone, or everything up to the next comma or space. */
  takeValue(): string {
    const quote = this.#text[this.position]
    if (quote !== '"' && quote !== "'") return this.#takeUntil(/[,\s]/g)
    this.position += 1
    const stop = quote === '"' ? /["\\]/g : /['\\]/g
    let value = ''
    for (;;) {
      value += this.#takeUntil(stop)
      if (this.#text[this.position++] !== '\\') return value
      value += this.#text[this.position++] ?? ''
    }
  }

  #takeUntil(stop: RegExp): string {
    stop.lastIndex = this.position
    const end = stop.exec(this.#text)?.index ?? this.#text.length
    const value = this.#text.slice(this.position, end)
    this.position = end
    return value
  }

  #skipSpaces(): void {
    while (this.#text[this.position] === ' ' || this.#text[this.position] === '\t') this.position += 1
  }
}
