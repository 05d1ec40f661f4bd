import type { Clock } from '../ports.ts'

/** How long a sign-in waits for servers before it that have not answered yet, in milliseconds. */
const PATIENCE = 3_000

/**
 * Lets servers that connect side by side ask for the person in config order: a server asks when every one before it
 * is connected, has failed or has asked, or has kept it waiting for 3 s.
 */
export class SignInOrder {
  readonly #clock: Clock
  readonly #decided: { readonly promise: Promise<void>; readonly resolve: () => void }[]

  constructor(count: number, clock: Clock) {
    this.#clock = clock
    this.#decided = Array.from({ length: count }, () => {
      let resolve: () => void = () => {}
      const promise = new Promise<void>((done) => {
        resolve = done
      })
      return { promise, resolve }
    })
  }

  /** This server needs nothing (more) of the order: it is connected, has failed, or stands in the queue. */
  decide(index: number): void {
    this.#decided[index]?.resolve()
  }

  async turn(index: number): Promise<void> {
    let cancel: () => void = () => {}
    const patience = new Promise<void>((resolve) => {
      cancel = this.#clock.setTimer(resolve, PATIENCE)
    })
    await Promise.race([Promise.all(this.#decided.slice(0, index).map(({ promise }) => promise)), patience])
    cancel()
  }
}
