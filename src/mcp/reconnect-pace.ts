import type { Clock } from '../ports.ts'
import { sleep } from '../sleep.ts'

/** A stream that was open for less has ended at once, in milliseconds. The least pause is as long. */
const AT_ONCE = 1_000
const LONGEST_PAUSE = 5_000

/**
 * Spaces the event streams of one transport: how soon one is asked for again is up to the server (`retry: 0`), which may
 * not keep a session busy with it. The first time counts for nothing, and neither does what was before the last request of
 * the program: servers that are polled for an answer end the stream with it.
 */
export class ReconnectPace {
  readonly #clock: Pick<Clock, 'monotonic' | 'setTimer'>
  #endedAtOnce = 0
  #endedAt = 0

  constructor(clock: Pick<Clock, 'monotonic' | 'setTimer'>) {
    this.#clock = clock
  }

  /** Waits as long as the last streams give cause to, or until `signal` aborts. */
  async wait(signal: AbortSignal | null | undefined): Promise<void> {
    if (this.#endedAtOnce < 2) return
    const pause = Math.min(AT_ONCE * 2 ** (this.#endedAtOnce - 2), LONGEST_PAUSE)
    const rest = this.#endedAt + pause - this.#clock.monotonic()
    if (rest > 0) await sleep(this.#clock, rest, signal)
  }

  /** The program has sent something of its own. */
  beginAnew(): void {
    this.#endedAtOnce = 0
  }

  /** A stream is asked for; the returned function is to be called when it has ended, or did not come. */
  begin(): () => void {
    const begun = this.#clock.monotonic()
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#endedAt = this.#clock.monotonic()
      this.#endedAtOnce = this.#endedAt - begun < AT_ONCE ? this.#endedAtOnce + 1 : 0
    }
  }
}
