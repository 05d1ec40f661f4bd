import type { Output } from './io.ts'

/**
 * What is said to the person, on stderr. On a terminal one line at the end may change (`progress`); it is taken away
 * before anything else is said.
 */
export class Talk {
  readonly #output: Output
  #hasProgress = false

  constructor(output: Output) {
    this.#output = output
  }

  get isTerminal(): boolean {
    return this.#output.isTerminal
  }

  say(text = ''): void {
    this.clear()
    this.#output.write(`${text}\n`)
  }

  /** Replaces the changing line. Silent where stderr is no terminal: nobody wants a log of seconds. */
  progress(text: string): void {
    if (!this.isTerminal) return
    this.#output.write(`\r${text}\u001b[K`)
    this.#hasProgress = true
  }

  clear(): void {
    if (!this.#hasProgress) return
    this.#output.write('\r\u001b[K')
    this.#hasProgress = false
  }
}
