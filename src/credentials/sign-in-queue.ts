import { LoginRequiredError } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { Clock } from '../ports.ts'
import { COOL_DOWN, type MachineParts, MachinePlace } from './machine-place.ts'
import { TabQueue } from './tab-queue.ts'
import { untilAborted } from './until-aborted.ts'

/** Asks the person when it is this sign-in's turn: one browser tab at a time. */
export type Turn = <T>(ask: () => Promise<T>) => Promise<T>

export interface QueuedSignIn<T> {
  /** One string for one identity: whoever asks for the same shares the outcome. */
  readonly identity: string
  readonly server: string
  readonly emit: EventListener
  /** The caller's own wish to stop; the sign-in itself stops when all who wait for it have stopped. */
  readonly signal?: AbortSignal
  readonly perform: (signal: AbortSignal, turn: Turn) => Promise<T>
  /** What is needed to heed other processes; absent where there are none. */
  readonly machine?: MachineParts<T> | undefined
}

interface Pending {
  readonly outcome: Promise<unknown>
  readonly abort: AbortController
  waiting: number
}

/**
 * Sign-ins of one process. Those for one identity are shared; those for different servers prepare side by side, so that
 * a server that does not answer keeps nobody waiting, and take turns with the person. What is left of them takes its
 * place among those of other processes ({@link MachinePlace}).
 */
export class SignInQueue {
  readonly #clock: Clock
  readonly #tabs: TabQueue
  readonly #pending = new Map<string, Pending>()
  readonly #failedAt = new Map<string, number>()
  readonly #completed = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#tabs = new TabQueue(clock)
  }

  /** Whether a sign-in for this identity failed less than 60 s ago. */
  isCoolingDown(identity: string): boolean {
    const failedAt = this.#failedAt.get(identity)
    return failedAt !== undefined && this.#clock.monotonic() - failedAt < COOL_DOWN
  }

  /** A sign-in for this identity failed, or succeeded and was of no use: no other for a while. */
  coolDown(identity: string): void {
    this.#failedAt.set(identity, this.#clock.monotonic())
  }

  /** How many sign-ins for this identity have succeeded: tells whether one did since a moment that was noted. */
  completed(identity: string): number {
    return this.#completed.get(identity) ?? 0
  }

  /** Performs, and gives the outcome to everybody who asked for this identity meanwhile. */
  run<T>(request: QueuedSignIn<T>): Promise<T> {
    // Whoever wants the person to be asked again is not served by a sign-in that may not do so.
    const key = request.machine?.again ? `${request.identity} again` : request.identity
    const pending = this.#pending.get(key) ?? this.#begin(key, request)
    return this.#wait(key, pending, request.signal) as Promise<T>
  }

  #begin<T>(key: string, { perform, machine, ...owner }: QueuedSignIn<T>): Pending {
    const { identity, server, emit } = owner
    const place = new MachinePlace(owner, machine, this.#clock)
    const abort = new AbortController()
    // Taken now: tabs open in the order in which sign-ins were asked for.
    const ticket = this.#tabs.take()
    const turn: Turn = (ask) =>
      ticket.use(
        () => place.ask(ask, abort.signal),
        abort.signal,
        (ahead) => emit({ type: 'sign_in_queued', server, ahead }),
      )
    const begin = async () => {
      try {
        const value = await place.alone(() => perform(abort.signal, turn), abort.signal)
        this.#failedAt.delete(identity)
        this.#completed.set(identity, this.completed(identity) + 1)
        return value
      } catch (error) {
        // Given up before anybody was asked, or not even tried: that is no reason to cool down.
        const wasTried = !abort.signal.aborted && !(error instanceof LoginRequiredError)
        if (place.wasAsked || wasTried) this.coolDown(identity)
        throw error
      } finally {
        ticket.drop()
        if (this.#pending.get(key) === pending) this.#pending.delete(key)
      }
    }
    const pending: Pending = { outcome: Promise.resolve().then(begin), abort, waiting: 0 }
    this.#pending.set(key, pending)
    return pending
  }

  async #wait(key: string, pending: Pending, signal: AbortSignal | undefined): Promise<unknown> {
    pending.waiting += 1
    try {
      return await untilAborted(pending.outcome, signal)
    } finally {
      pending.waiting -= 1
      if (pending.waiting === 0) {
        // Whoever asks from now on must not join a sign-in that is being given up.
        if (this.#pending.get(key) === pending) this.#pending.delete(key)
        pending.abort.abort(signal?.reason)
      }
    }
  }
}
