import type { EventListener } from '../events.ts'
import type { Clock } from '../ports.ts'

/** After a sign-in that failed or was cancelled, no other for that identity for this long, in milliseconds. */
const COOL_DOWN = 60_000

export interface QueuedSignIn<T> {
  /** One string for one identity: whoever asks for the same shares the outcome. */
  readonly identity: string
  readonly server: string
  readonly emit: EventListener
  /** The caller's own wish to stop; the sign-in itself stops when all who wait for it have stopped. */
  readonly signal?: AbortSignal
  readonly perform: (signal: AbortSignal) => Promise<T>
}

interface Pending {
  readonly outcome: Promise<unknown>
  readonly abort: AbortController
  waiting: number
}

/** One browser tab at a time: sign-ins for one identity are shared, those for different servers queue. */
export class SignInQueue {
  readonly #clock: Clock
  readonly #pending = new Map<string, Pending>()
  readonly #failedAt = new Map<string, number>()
  readonly #completed = new Map<string, number>()
  #tail: Promise<unknown> = Promise.resolve()
  #length = 0

  constructor(clock: Clock) {
    this.#clock = clock
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

  /** Waits for its turn, performs, and gives the outcome to everybody who asked for this identity meanwhile. */
  run<T>(request: QueuedSignIn<T>): Promise<T> {
    const pending = this.#pending.get(request.identity) ?? this.#enqueue(request)
    return this.#wait(request.identity, pending, request.signal) as Promise<T>
  }

  #enqueue<T>({ identity, server, emit, perform }: QueuedSignIn<T>): Pending {
    const abort = new AbortController()
    if (this.#length > 0) emit({ type: 'sign_in_queued', server, ahead: this.#length })
    this.#length += 1
    const outcome = this.#tail.then(async () => {
      try {
        // Given up before anybody was asked: that is no reason to cool down.
        abort.signal.throwIfAborted()
        return await this.#perform(identity, () => perform(abort.signal))
      } finally {
        this.#length -= 1
        if (this.#pending.get(identity) === pending) this.#pending.delete(identity)
      }
    })
    this.#tail = outcome.catch(() => {})
    const pending: Pending = { outcome, abort, waiting: 0 }
    this.#pending.set(identity, pending)
    return pending
  }

  async #perform<T>(identity: string, perform: () => Promise<T>): Promise<T> {
    try {
      const value = await perform()
      this.#failedAt.delete(identity)
      this.#completed.set(identity, this.completed(identity) + 1)
      return value
    } catch (error) {
      this.coolDown(identity)
      throw error
    }
  }

  async #wait(identity: string, pending: Pending, signal: AbortSignal | undefined): Promise<unknown> {
    pending.waiting += 1
    let leave: () => void = () => {}
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal!.reason)
      if (signal?.aborted) leave()
      signal?.addEventListener('abort', leave, { once: true })
    })
    try {
      return await Promise.race([left, pending.outcome])
    } finally {
      signal?.removeEventListener('abort', leave)
      pending.waiting -= 1
      if (pending.waiting === 0) {
        // Whoever asks from now on must not join a sign-in that is being given up.
        if (this.#pending.get(identity) === pending) this.#pending.delete(identity)
        pending.abort.abort(signal?.reason)
      }
    }
  }
}
