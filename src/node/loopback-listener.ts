import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ExpectedRedirect, RedirectAddress } from '../ports.ts'
import { unknownAnswerPage } from './callback-page.ts'
import { nothingHere, sendNothing, sendPage, sendRefusal } from './loopback-listener-answer.ts'
import { bindLoopback, closeServer, type LoopbackServers, portOf } from './loopback-listener-bind.ts'
import { type LoopbackRequest, readRequest, stateOf } from './loopback-listener-request.ts'
import { LoopbackSignIn, type SignInAddress, type TimerClock } from './loopback-listener-sign-in.ts'
import { answerToQuestion } from './port-question.ts'

/** How many finished sign-ins still get their page, as long as somebody else keeps the port open. */
const remembered = 16

/** A loopback port of this process with everything that waits on it. Several sign-ins share it, told apart by `state`. */
export class LoopbackPort {
  readonly #servers: LoopbackServers = new Map()
  /** Callback paths by holder: a path is answered as long as somebody holds it. */
  readonly #holders = new Map<symbol, string>()
  #signIns: LoopbackSignIn[] = []
  #port = 0

  /** 0 before `open`. */
  get port(): number {
    return this.#port
  }

  get isHeld(): boolean {
    return this.#holders.size > 0
  }

  /** Listens on the addresses of `host` that are not open yet. */
  async open(host: RedirectAddress['host'], port: number): Promise<void> {
    await bindLoopback(this.#servers, host, port, (request, response) => this.#answer(request, response))
    this.#port = portOf(this.#servers) ?? 0
  }

  /** Keeps the port open and its callback path answered until `release`. */
  hold(callbackPath: string): symbol {
    const holder = Symbol(callbackPath)
    this.#holders.set(holder, callbackPath)
    return holder
  }

  release(holder: symbol): void {
    this.#holders.delete(holder)
  }

  expect(request: ExpectedRedirect, address: SignInAddress, clock: TimerClock): LoopbackSignIn {
    if (this.#find(request.state)) throw new TypeError('This state is already waited for.')
    const signIn = new LoopbackSignIn(request, address, clock)
    this.#forgetOldest()
    this.#signIns.push(signIn)
    return signIn
  }

  /** Whether a browser is on its way to a page. */
  get owesPage(): boolean {
    return this.#signIns.some((signIn) => signIn.owesPage)
  }

  /** Resolves when every browser that was sent to a page has it, a second later at most. */
  async delivered(): Promise<void> {
    await Promise.all(this.#signIns.map((signIn) => signIn.delivered()))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers.values()].map(closeServer))
    this.#servers.clear()
  }

  #answer(message: IncomingMessage, response: ServerResponse): void {
    const request = readRequest(message, this.#port)
    const answer = 'status' in request ? undefined : answerToQuestion(request.path, message)
    if ('status' in request) sendRefusal(response, request)
    else if (answer) sendNothing(response, answer)
    else if (this.#isCallbackPath(request.path)) this.#receive(request, response)
    else this.#show(request, response)
  }

  #receive({ path, query }: LoopbackRequest, response: ServerResponse): void {
    // Whatever does not carry our state, `error` included, is somebody else's and changes nothing.
    const state = stateOf(query)
    const signIn = state === undefined ? undefined : this.#find(state)
    if (signIn?.callbackPath === path && signIn.awaitsCallback) signIn.receive(query, response)
    else sendPage(response, unknownAnswerPage())
  }

  #show({ path, prefetch, fromElsewhere }: LoopbackRequest, response: ServerResponse): void {
    const signIn = this.#signIns.find(({ startPath, continuePath, declinePath, donePath }) =>
      [startPath, continuePath, declinePath, donePath].includes(path),
    )
    if (signIn === undefined) sendRefusal(response, nothingHere)
    else if (path === signIn.startPath) signIn.start(response, prefetch)
    else if (path === signIn.donePath) signIn.showOutcome(response)
    // An answer of the person is a click on our own page.
    else if (fromElsewhere)
      sendRefusal(response, { status: 403, reason: 'Nobody can answer for the person.' })
    else if (path === signIn.continuePath) signIn.confirm(response, prefetch)
    else signIn.decline(response, prefetch)
  }

  #isCallbackPath(path: string): boolean {
    return (
      [...this.#holders.values()].includes(path) ||
      this.#signIns.some((signIn) => signIn.callbackPath === path)
    )
  }

  /** Looks at every sign-in, so that the time tells nothing about a state. */
  #find(state: string): LoopbackSignIn | undefined {
    return this.#signIns.filter((signIn) => signIn.hasState(state))[0]
  }

  #forgetOldest(): void {
    const finished = this.#signIns.filter((signIn) => signIn.finished)
    const forgotten = new Set(finished.slice(0, Math.max(0, finished.length - remembered)))
    this.#signIns = this.#signIns.filter((signIn) => !forgotten.has(signIn))
  }
}
