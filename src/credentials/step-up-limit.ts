/** Authorizations for one operation that still ended in 403. */
const PER_OPERATION = 2
/** The same over all operations, since one last succeeded. */
const IN_A_ROW = 3

/**
 * Bounds step-up (MCP authorization, Step-Up Authorization Flow): a server that answers 403 whatever it is granted is
 * given up, and the operation it refused is remembered for this process.
 */
export class StepUpLimit {
  readonly #byOperation = new Map<string, number>()
  #inARow = 0

  allows(operation: string): boolean {
    return (this.#byOperation.get(operation) ?? 0) < PER_OPERATION && this.#inARow < IN_A_ROW
  }

  /** A person was asked for the sake of this operation. */
  count(operation: string): void {
    this.#byOperation.set(operation, (this.#byOperation.get(operation) ?? 0) + 1)
    this.#inARow += 1
  }

  succeeded(operation: string): void {
    this.#byOperation.delete(operation)
    this.#inARow = 0
  }
}
