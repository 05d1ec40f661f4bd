import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { SignInCancelledError, UrlRefusedError } from '../errors/index.ts'
import type { Clock, ExpectedRedirect, PendingRedirect, RedirectOutcome } from '../ports.ts'
import { confirmationPage, outcomePage, usedLinkPage } from './callback-page.ts'
import { nothingHere, sendPage, sendRedirect, sendRefusal } from './loopback-listener-answer.ts'

/** The part of the clock that is needed here. */
export type TimerClock = Pick<Clock, 'setTimer'>

/** Where a sign-in is reached on its port. */
export interface SignInAddress {
  /** `http://localhost:8080` */
  readonly origin: string
  /** As it stands on the request line. */
  readonly callbackPath: string
}

/** How long a browser gets to fetch the page it was sent to before the port may close. */
const deliveryTime = 1000

/** So many browsers may wait for the outcome: a person reloads, but not more often than that. */
const mostHeld = 8

/**
 * One sign-in that waits for its authorization response: start URL → callback, held → outcome page.
 *
 * The page has an address of its own, so that code and state do not stay in the address bar: the held callback is
 * answered with a redirect to it.
 */
export class LoopbackSignIn implements PendingRedirect {
  readonly startUrl: string
  readonly response: Promise<URLSearchParams>
  readonly callbackPath: string
  readonly startPath = `/start/${unguessable()}`
  readonly donePath = `/done/${unguessable()}`
  /** Where the page leads that asks about the host of the sign-in page. */
  readonly continuePath = `/continue/${unguessable()}`
  readonly declinePath = `/decline/${unguessable()}`
  readonly #request: ExpectedRedirect
  readonly #authorizationUrl: string
  readonly #stateDigest: Buffer
  readonly #clock: TimerClock
  readonly #held = new Set<ServerResponse>()
  /** One per browser that was sent to the page and has not fetched it yet; calling it gives up on that browser. */
  readonly #deliveries = new Set<() => void>()
  readonly #awaitingDelivery: (() => void)[] = []
  #settle!: { resolve(parameters: URLSearchParams): void; reject(error: Error): void }
  #started = false
  /** The person was sent to the authorization server. */
  #ledOn = false
  #outcome: RedirectOutcome | undefined

  constructor(request: ExpectedRedirect, address: SignInAddress, clock: TimerClock) {
    if (!request.state) throw new TypeError('A sign-in needs a state.')
    this.#request = request
    this.#authorizationUrl = judgedAuthorizationUrl(request.authorizationUrl)
    this.#stateDigest = digest(request.state)
    this.#clock = clock
    this.callbackPath = address.callbackPath
    this.startUrl = address.origin + this.startPath
    this.response = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Who gave up waiting must not be ended by the rejection of what was waited for.
    this.response.catch(() => {})
  }

  get finished(): boolean {
    return this.#outcome !== undefined
  }

  /** Compares in constant time. */
  hasState(state: string): boolean {
    return timingSafeEqual(this.#stateDigest, digest(state))
  }

  /**
   * Leads on to the authorization server, once: argv, where the start URL stands, is readable to every user of the
   * machine, and who follows it learns `state`. A browser that only looks ahead does not use it up.
   */
  start(response: ServerResponse, prefetch: boolean): void {
    if (this.#outcome) sendPage(response, outcomePage(this.#outcome, this.#request))
    else if (prefetch) sendRefusal(response, { status: 503, reason: 'This link is not for looking ahead.' })
    else if (this.#started) sendPage(response, usedLinkPage(this.#request))
    else {
      this.#started = true
      const { confirmAgainst } = this.#request
      if (confirmAgainst === undefined) this.#leadOn(response)
      else
        sendPage(
          response,
          confirmationPage(this.#request, confirmAgainst, this.continuePath, this.declinePath),
        )
    }
  }

  /** The person says that the sign-in page is the right one. */
  confirm(response: ServerResponse, prefetch: boolean): void {
    if (this.#outcome) sendPage(response, outcomePage(this.#outcome, this.#request))
    else if (!this.#started) sendRefusal(response, nothingHere)
    else if (prefetch) sendRefusal(response, { status: 503, reason: 'This link is not for looking ahead.' })
    else this.#leadOn(response)
  }

  /** The person says that it is not. */
  decline(response: ServerResponse, prefetch: boolean): void {
    if (this.#outcome) this.#leadToPage(response)
    else if (!this.#started || prefetch) sendRefusal(response, nothingHere)
    else {
      this.#hold(response)
      this.#settle.reject(notConfirmed(this.#request))
    }
  }

  /** Takes a callback that carries our `state`. The first one counts; all of them get the outcome. */
  receive(parameters: URLSearchParams, response: ServerResponse): void {
    if (this.#outcome) {
      this.#leadToPage(response)
      return
    }
    if (this.#held.size >= mostHeld) {
      sendRefusal(response, { status: 503, reason: 'This answer has arrived.' })
      return
    }
    this.#hold(response)
    this.#settle.resolve(parameters)
  }

  /** Whether an answer can have come by the way that the person was to go. */
  get awaitsCallback(): boolean {
    return this.#request.confirmAgainst === undefined || this.#ledOn
  }

  finish(outcome: RedirectOutcome): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#settle.reject(
      new SignInCancelledError({
        message: `The sign-in to ${this.#request.serverName} ended before an answer came.`,
        server: this.#request.serverName,
      }),
    )
    for (const response of this.#held) this.#leadToPage(response)
    this.#held.clear()
  }

  showOutcome(response: ServerResponse): void {
    if (!this.#outcome) {
      sendRefusal(response, nothingHere)
      return
    }
    const [delivered] = this.#deliveries
    if (delivered) response.once('close', delivered)
    sendPage(response, outcomePage(this.#outcome, this.#request))
  }

  /** Whether a browser is on its way to the page. */
  get owesPage(): boolean {
    return this.#deliveries.size > 0
  }

  /** Resolves when every browser that was sent to the page has it, a second later at most. */
  async delivered(): Promise<void> {
    if (this.owesPage) await new Promise<void>((resolve) => this.#awaitingDelivery.push(resolve))
  }

  #leadOn(response: ServerResponse): void {
    this.#ledOn = true
    sendRedirect(response, 302, this.#authorizationUrl)
  }

  #hold(response: ServerResponse): void {
    this.#held.add(response)
    response.once('close', () => this.#held.delete(response))
  }

  #leadToPage(response: ServerResponse): void {
    const settle = (): void => {
      cancelTimer()
      this.#deliveries.delete(settle)
      if (!this.owesPage) for (const resolve of this.#awaitingDelivery.splice(0)) resolve()
    }
    const cancelTimer = this.#clock.setTimer(settle, deliveryTime)
    this.#deliveries.add(settle)
    sendRedirect(response, 303, this.donePath)
  }
}

function notConfirmed({ serverName, authorizationHost }: ExpectedRedirect): SignInCancelledError {
  return new SignInCancelledError({
    message: `${authorizationHost} was not confirmed as the sign-in page for ${serverName}.`,
    remedy: `If it is the right one, sign in again and continue there, or set \`auth.authorization_hosts\` to ["${authorizationHost}"].`,
    server: serverName,
  })
}

function unguessable(): string {
  return randomBytes(16).toString('base64url')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function judgedAuthorizationUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url.href
  throw new UrlRefusedError({
    message: 'The authorization URL is not an http or https URL; the browser is not sent there.',
    url: url ? `${url.protocol}…` : '(not a URL)',
    purpose: 'authorization_endpoint',
  })
}
