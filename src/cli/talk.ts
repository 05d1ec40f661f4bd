import type { Output } from './io.ts'

/**
 * What is said to the person, on stderr. On a terminal one line at the end may change (`progress`); it stays below
 * whatever else is said, until it is taken away.
 */
export class Talk {
  readonly #output: Output
  #progress = ''

  constructor(output: Output) {
    this.#output = output
  }

  get isTerminal(): boolean {
    return this.#output.isTerminal
  }

  say(text = ''): void {
    const progress = this.#progress
    this.clear()
    this.#output.write(`${text}\n`)
    if (progress !== '') this.progress(progress)
  }

  /** Replaces the changing line. Silent where stderr is no terminal: nobody wants a log of seconds. */
  progress(text: string): void {
    if (!this.isTerminal) return
    this.#output.write(`\r${text}\u001b[K`)
    this.#progress = text
  }

  clear(): void {
    if (this.#progress === '') return
    this.#output.write('\r\u001b[K')
    this.#progress = ''
  }
}
