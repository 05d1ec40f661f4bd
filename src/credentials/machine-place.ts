import { isLatchkeyError, SignInTimedOutError, StoreFailedError } from '../errors/index.ts'
import type { EventListener, SignInQueued } from '../events.ts'
import type { BoardWait, Clock, Lease, SignInBoard, SignInEnd } from '../ports.ts'

/** After a sign-in that failed or was cancelled, no other for that identity for this long, in milliseconds. */
export const COOL_DOWN = 60_000

/** One sign-in among those of all processes of the machine. */
export interface MachineParts<T> {
  readonly board: SignInBoard
  /** Milliseconds to wait for another process, at each place where one may have to. */
  readonly limit: number
  /** Asked for by name (`login`): no cool-down. */
  readonly explicit: boolean
  /** Ask the person again, whatever the others bring. */
  readonly again: boolean
  /** The login that another process stored, where it will do. `ended`: one signed in while this one waited. */
  readonly taken: (ended: boolean) => Promise<T | undefined>
  /** The error for a sign-in of another process that failed: while this one waited, or less than a minute ago. */
  readonly failedElsewhere: (failure: string, waited: boolean) => Error
}

export interface PlaceOwner {
  readonly identity: string
  readonly server: string
  readonly emit: EventListener
}

/** The right of somebody who has the machine for himself, or cannot know better. */
const UNDISPUTED: Lease = { isHeld: async () => true, release: async () => {} }

/**
 * A sign-in's place on the board of the machine: processes that want the same login wait for one of them and share what
 * it brings; different logins ask the person one after the other. Nothing waits for ever: a process that is killed
 * loses its place within seconds, one that is alive is waited for no longer than `limit`.
 */
export class MachinePlace<T> {
  readonly #owner: PlaceOwner
  readonly #parts: MachineParts<T> | undefined
  readonly #clock: Clock
  #wasAsked = false

  /** Without parts everybody else is in this process, and nobody has to be waited for. */
  constructor(owner: PlaceOwner, parts: MachineParts<T> | undefined, clock: Clock) {
    this.#owner = owner
    this.#parts = parts
    this.#clock = clock
  }

  /** Whether the person has seen something of it. */
  get wasAsked(): boolean {
    return this.#wasAsked
  }

  /**
   * Performs while no other process signs in for this identity; what another one brought meanwhile, good or bad, is
   * taken instead.
   */
  async alone(perform: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const parts = this.#parts
    if (!parts) return perform()
    const { board, again, taken } = parts
    const { identity } = this.#owner
    const before = await this.#lastEnd(board)
    const lease = await this.#claim('same_login', (wait) => board.claim(identity, wait), signal)
    try {
      if (!again) {
        const last = await this.#lastEnd(board)
        const ended = last?.id === before?.id ? undefined : last
        if (ended?.failure) throw parts.failedElsewhere(ended.failure, true)
        const login = await taken(ended !== undefined)
        if (login !== undefined) return login
        this.#assertNotCoolingDown(last, parts)
      }
      return await this.#performAndPost(perform, { board, lease, signal })
    } finally {
      await lease.release()
    }
  }

  /** Asks the person while no other process does. */
  async ask<R>(ask: () => Promise<R>, signal: AbortSignal): Promise<R> {
    const board = this.#parts?.board
    const lease = board
      ? await this.#claim('other_login', (wait) => board.claimPerson(wait), signal)
      : UNDISPUTED
    try {
      signal.throwIfAborted()
      this.#wasAsked = true
      return await ask()
    } finally {
      await lease.release()
    }
  }

  async #performAndPost(
    perform: () => Promise<T>,
    { board, lease, signal }: { board: SignInBoard; lease: Lease; signal: AbortSignal },
  ): Promise<T> {
    const post = async (failure?: string) => {
      // Whoever took over from a process that stood still has the word.
      if (lease === UNDISPUTED || !(await lease.isHeld())) return
      const end = { at: this.#clock.now(), ...(failure && { failure }) }
      await board.postEnd(this.#owner.identity, end).catch(orNothing)
    }
    try {
      const login = await perform()
      await post()
      return login
    } catch (error) {
      // What nobody has seen is no reason for others to hold back: each finds out for itself.
      if (this.#wasAsked) await post(failureOf(error, signal))
      throw error
    }
  }

  #assertNotCoolingDown(last: SignInEnd | undefined, { explicit, failedElsewhere }: MachineParts<T>): void {
    if (explicit || !last?.failure) return
    // A clock that was set back must not make this longer.
    const age = this.#clock.now() - last.at
    if (age >= 0 && age < COOL_DOWN) throw failedElsewhere(last.failure, false)
  }

  #lastEnd(board: SignInBoard): Promise<SignInEnd | undefined> {
    return board.lastEnd(this.#owner.identity).catch(orNothing)
  }

  async #claim(
    behind: NonNullable<SignInQueued['elsewhere']>,
    claim: (wait: BoardWait) => Promise<Lease>,
    signal: AbortSignal,
  ): Promise<Lease> {
    const { server, emit } = this.#owner
    const tooLong = new AbortController()
    let cancel: () => void = () => {}
    const onWait = () => {
      emit({ type: 'sign_in_queued', server, ahead: 1, elsewhere: behind })
      const { limit } = this.#parts!
      cancel = this.#clock.setTimer(() => tooLong.abort(waitedTooLong(server, limit)), limit)
    }
    try {
      return await claim({ signal: AbortSignal.any([signal, tooLong.signal]), onWait })
    } catch (error) {
      // Without a place to meet, the other processes cannot be heeded; the store says whether it can do without.
      if (error instanceof StoreFailedError) return UNDISPUTED
      throw error
    } finally {
      cancel()
    }
  }
}

function orNothing(error: unknown): undefined {
  if (!(error instanceof StoreFailedError)) throw error
  return undefined
}

/** The person's no and the program's are the same to whoever waited. */
function failureOf(error: unknown, signal: AbortSignal): string {
  if (!isLatchkeyError(error)) return signal.aborted ? 'sign_in_cancelled' : 'unsupported'
  const saidNo = error.code === 'authorization_refused' && 'error' in error && error.error === 'access_denied'
  return saidNo ? 'sign_in_cancelled' : error.code
}

function waitedTooLong(server: string, limit: number): SignInTimedOutError {
  const seconds = Math.round(limit / 1000)
  return new SignInTimedOutError({
    message: `Another process has been signing in for ${seconds} s and is not done; the sign-in to ${server} did not wait longer.`,
    remedy: 'Finish or end the other sign-in, then try again.',
    server,
    seconds,
  })
}
