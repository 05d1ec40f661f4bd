import type fc from 'fast-check'

/** One door for strangers' data, and what must hold whatever comes through it. */
export interface FuzzTarget<Input> {
  readonly name: string
  /** Valid inputs, what breaks them, and plain noise. An input is JSON, so that it can be kept as a seed. */
  readonly inputs: fc.Arbitrary<Input>
  /** The same from bytes, for a fuzzer that is guided by coverage. */
  fromBytes(bytes: Buffer): Input
  /** Throws where something does not hold. */
  check(input: Input): Promise<void>
  /** Ends what the first check started. */
  close?(): Promise<void>
}

// biome-ignore lint/suspicious/noExplicitAny: a target only ever gets inputs that it made itself
export type AnyFuzzTarget = FuzzTarget<any>
