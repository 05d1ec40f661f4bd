/** Authorizations for one operation that still ended in 403. */
const PER_OPERATION = 2
/** The same over all operations, since one last succeeded. */
const IN_A_ROW = 3

/** How often a person signed in for the sake of one operation, since it last succeeded. */
interface Asked {
  /** For more scope. */
  readonly stepUps: number
  /** After a 401: which ones, as calls that meet it together share one. */
  readonly signIns: ReadonlySet<number>
}

const NEVER: Asked = { stepUps: 0, signIns: new Set() }

/**
 * Bounds step-up (MCP authorization, Step-Up Authorization Flow): a server that answers 403 whatever it is granted is
 * given up, and the operation it refused is remembered for this process. A 401 on the way to it counts as well.
 */
export class StepUpLimit {
  readonly #byOperation = new Map<string, Asked>()
  #inARow = 0

  allowsStepUp(operation: string): boolean {
    return this.#asked(operation).stepUps < PER_OPERATION && this.#inARow < IN_A_ROW
  }

  /** Whether a 401 may be answered with a sign-in: any other operation still can. */
  allowsSignIn(operation: string): boolean {
    const { stepUps, signIns } = this.#asked(operation)
    return stepUps < PER_OPERATION && signIns.size < PER_OPERATION
  }

  /** A person was asked for the sake of this operation. */
  countStepUp(operation: string): void {
    const asked = this.#asked(operation)
    this.#byOperation.set(operation, { ...asked, stepUps: asked.stepUps + 1 })
    this.#inARow += 1
  }

  /** A person has signed in after a 401, for the `which`th time in this process. */
  countSignIn(operation: string, which: number): void {
    const asked = this.#asked(operation)
    this.#byOperation.set(operation, { ...asked, signIns: new Set([...asked.signIns, which]) })
  }

  succeeded(operation: string): void {
    this.#byOperation.delete(operation)
    this.#inARow = 0
  }

  #asked(operation: string): Asked {
    return this.#byOperation.get(operation) ?? NEVER
  }
}
