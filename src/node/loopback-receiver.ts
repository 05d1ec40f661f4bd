import { ConfigInvalidError, PortInUseError } from '../errors/index.ts'
import type {
  ExpectedRedirect,
  PendingRedirect,
  PortPatience,
  RedirectAddress,
  RedirectListener,
  RedirectReceiver,
} from '../ports.ts'
import { sleep } from '../sleep.ts'
import { systemClock } from './clock.ts'
import { LoopbackPort } from './loopback-listener.ts'
import { PortTakenError } from './loopback-listener-bind.ts'
import type { LoopbackSignIn, SignInAddress, TimerClock } from './loopback-listener-sign-in.ts'
import { findPortHolder } from './port-holder.ts'
import { isSigningIn } from './port-question.ts'

export interface LoopbackReceiverOptions {
  /** For the second that a closing port waits for the browser. Default: the system's. */
  readonly clock?: TimerClock
  /** Says who listens on a port, for the message of `port_in_use`. Default: {@link findPortHolder}. */
  readonly lookupHolder?: (port: number) => Promise<string | undefined>
}

/** The ports that this process listens on, whoever asked: two clients of one program share port 8080. */
const openPorts = new Map<number, LoopbackPort>()

/** Opening and closing happen one after the other, or we could find a port taken by ourselves. */
let lastTurn: Promise<unknown> = Promise.resolve()

/** How often the system may choose a port whose twin in the other address family is taken. */
const freePortTries = 10

/** How long a person waits for the name of the program that holds the port, in milliseconds. */
const lookupTime = 300

/** Milliseconds between two tries for a port on which another process signs in. */
const waitBetweenTries = 150

/** So many questions in a row may go unanswered while waiting: a busy process is slow, one that is gone leaves the port. */
const unansweredQuestions = 5

/**
 * Receives authorization responses on a loopback port (RFC 8252 §7.3, §8.3). `listen` throws `port_in_use` when
 * neither the port nor an alternative can be had, `config_invalid` for an impossible path, and `unsupported` on a machine
 * without a loopback interface.
 */
export function createLoopbackReceiver(options: LoopbackReceiverOptions = {}): RedirectReceiver {
  const clock = options.clock ?? systemClock
  const lookupHolder = options.lookupHolder ?? findPortHolder
  return {
    async listen(address, patience) {
      assertPath(address.path)
      const first = await tryPorts(address, clock)
      if (!(first instanceof PortTakenError)) return first
      const last =
        patience && address.alternatives.length === 0 ? await outwait(first, address, patience, clock) : first
      if (!(last instanceof PortTakenError)) return last
      throw await portInUse(last, address, lookupHolder)
    },
  }
}

/** The first port that can be had, or why the one that was wanted cannot. */
async function tryPorts(
  address: RedirectAddress,
  clock: TimerClock,
): Promise<RedirectListener | PortTakenError> {
  let firstRefusal: PortTakenError | undefined
  for (const candidate of [address.port, ...address.alternatives]) {
    try {
      return await inTurn(() => share(address, candidate, clock))
    } catch (error) {
      if (!(error instanceof PortTakenError)) throw error
      firstRefusal ??= error
    }
  }
  return firstRefusal!
}

/** Tries again for as long as it is a sign-in of another process that holds the port, and patience lasts. */
async function outwait(
  refusal: PortTakenError,
  address: RedirectAddress,
  { limit, signal, onWait }: PortPatience,
  clock: TimerClock,
): Promise<RedirectListener | PortTakenError> {
  if (refusal.errno !== 'EADDRINUSE' || !(await isSigningIn(address.host, address.port))) return refusal
  onWait?.()
  const started = systemClock.monotonic()
  for (let unanswered = 0; systemClock.monotonic() - started < limit; ) {
    await sleep(systemClock, waitBetweenTries, signal)
    const next = await tryPorts(address, clock)
    if (!(next instanceof PortTakenError)) return next
    unanswered = (await isSigningIn(address.host, address.port)) ? 0 : unanswered + 1
    if (unanswered === unansweredQuestions) return next
  }
  return refusal
}

async function share(
  address: RedirectAddress,
  candidate: number | 'any',
  clock: TimerClock,
): Promise<RedirectListener> {
  const wanted = candidate === 'any' ? 0 : candidate
  const open = wanted === 0 ? await openFreePort(address.host) : await openPort(address.host, wanted)
  return new LoopbackShare(open, address, clock)
}

async function openPort(host: RedirectAddress['host'], number: number): Promise<LoopbackPort> {
  const port = openPorts.get(number) ?? new LoopbackPort()
  await port.open(host, number)
  openPorts.set(port.port, port)
  return port
}

async function openFreePort(host: RedirectAddress['host']): Promise<LoopbackPort> {
  for (let tries = 1; ; tries++) {
    try {
      return await openPort(host, 0)
    } catch (error) {
      if (!(error instanceof PortTakenError) || tries === freePortTries) throw error
    }
  }
}

/** One caller's part of a port. */
class LoopbackShare implements RedirectListener {
  readonly redirectUri: string
  readonly port: number
  readonly #open: LoopbackPort
  readonly #holder: symbol
  readonly #address: SignInAddress
  readonly #clock: TimerClock
  readonly #signIns: LoopbackSignIn[] = []
  #closing: Promise<void> | undefined

  constructor(open: LoopbackPort, address: RedirectAddress, clock: TimerClock) {
    this.#open = open
    this.#clock = clock
    this.port = open.port
    const { origin } = new URL(`http://${address.host}:${open.port}`)
    this.redirectUri = origin + address.path
    this.#address = { origin, callbackPath: address.path || '/' }
    this.#holder = open.hold(this.#address.callbackPath)
  }

  expect(request: ExpectedRedirect): PendingRedirect {
    if (this.#closing) throw new TypeError('This listener is closed.')
    const signIn = this.#open.expect(request, this.#address, this.#clock)
    this.#signIns.push(signIn)
    return signIn
  }

  /**
   * Resolves at once when a browser still has to fetch its page; the port closes when it did, a second later at most.
   * Else resolves when the port is free.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const signIn of this.#signIns) signIn.finish({ kind: 'cancelled' })
    const pageIsOwed = this.#open.owesPage
    const released = this.#open.delivered().then(() => inTurn(() => this.#release()))
    if (!pageIsOwed) await released
  }

  async #release(): Promise<void> {
    this.#open.release(this.#holder)
    if (this.#open.isHeld) return
    openPorts.delete(this.port)
    await this.#open.close()
  }
}

function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const result = lastTurn.then(work)
  lastTurn = result.catch(() => {})
  return result
}

/** The path goes into the redirect URI as it is, so it must be what a browser will ask for, byte for byte. */
function assertPath(path: string): void {
  const asked = URL.canParse(`http://localhost${path}`) ? new URL(`http://localhost${path}`) : undefined
  if (asked?.host === 'localhost' && asked.pathname === (path || '/')) return
  throw new ConfigInvalidError({
    message: `The path ${JSON.stringify(path)} cannot be part of a redirect URI.`,
    remedy: 'Set `redirect_uri` to a loopback URL with a plain path, as `http://localhost:8080/callback`.',
    key: 'redirect_uri',
  })
}

async function portInUse(
  { port, errno, cause }: PortTakenError,
  address: RedirectAddress,
  lookupHolder: (port: number) => Promise<string | undefined>,
): Promise<PortInUseError> {
  const forbidden = errno === 'EACCES'
  const holder = forbidden ? undefined : await withinTime(lookupHolder, port)
  const what = forbidden ? 'may not be opened by this user' : `is taken by ${holder ?? 'another program'}`
  const others = address.alternatives.length > 0 ? '; no other port that may be used is free either' : ''
  const uri = `http://${address.host}:<callback_port>${address.path}`
  return new PortInUseError({
    message: `Port ${port}, where the sign-in expects its callback, ${what}${others}.`,
    remedy:
      `${forbidden ? 'Set' : 'End that program, or set'} \`callback_port\` to a free port and, for a client that was ` +
      `registered by hand, register \`${uri}\` with it at the authorization server.`,
    port,
    holder,
    cause,
  })
}

async function withinTime(
  lookupHolder: (port: number) => Promise<string | undefined>,
  port: number,
): Promise<string | undefined> {
  let cancel = (): void => {}
  const timeOut = new Promise<undefined>((resolve) => {
    cancel = systemClock.setTimer(() => resolve(undefined), lookupTime)
  })
  try {
    return await Promise.race([lookupHolder(port), timeOut])
  } catch {
    return undefined
  } finally {
    cancel()
  }
}
