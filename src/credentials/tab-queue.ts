import type { Clock } from '../ports.ts'
import { untilAborted } from './until-aborted.ts'

/** How long a sign-in that is ready for the person waits for earlier ones that are not, in milliseconds. */
const PATIENCE = 3_000

/** A place in the order of tabs. */
export interface Ticket {
  /**
   * Waits for the turn, then asks the person. `onWait` hears once how many sign-ins come before, if any.
   * Rejects with the reason of `signal`.
   */
  use<T>(ask: () => Promise<T>, signal: AbortSignal, onWait: (ahead: number) => void): Promise<T>
  /** Gives the place up. */
  drop(): void
}

interface Place {
  /** Ready for the person: called when it may ask. */
  admit: (() => void) | undefined
  patienceIsOver: boolean
}

/** One browser tab at a time, in the order of the tickets; who is not ready in time is passed over. */
export class TabQueue {
  readonly #clock: Clock
  readonly #places: Place[] = []
  #open: Place | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  take(): Ticket {
    const place: Place = { admit: undefined, patienceIsOver: false }
    this.#places.push(place)
    return {
      use: (ask, signal, onWait) => this.#use(place, ask, signal, onWait),
      drop: () => {
        const index = this.#places.indexOf(place)
        if (index >= 0) this.#places.splice(index, 1)
        this.#admitNext()
      },
    }
  }

  async #use<T>(
    place: Place,
    ask: () => Promise<T>,
    signal: AbortSignal,
    onWait: (ahead: number) => void,
  ): Promise<T> {
    const admitted = new Promise<void>((resolve) => {
      place.admit = resolve
    })
    const endPatience = this.#clock.setTimer(() => {
      place.patienceIsOver = true
      this.#admitNext()
    }, PATIENCE)
    try {
      this.#admitNext()
      if (this.#open !== place) onWait(this.#ahead(place))
      await untilAborted(admitted, signal)
      return await ask()
    } finally {
      endPatience()
      place.admit = undefined
      if (this.#open === place) this.#open = undefined
      this.#admitNext()
    }
  }

  #ahead(place: Place): number {
    return this.#places.indexOf(place)
  }

  #admitNext(): void {
    if (this.#open) return
    const next = this.#places[0]?.admit
      ? this.#places[0]
      : this.#places.find(({ admit, patienceIsOver }) => admit && patienceIsOver)
    if (!next) return
    this.#open = next
    next.admit?.()
  }
}
