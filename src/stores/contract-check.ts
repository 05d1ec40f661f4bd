import type { CredentialStore } from '../ports.ts'

/** What a case needs of the store under test. */
export interface StoreUnderTest {
  /** A new store with nothing in it. */
  create(): CredentialStore | Promise<CredentialStore>
  /**
   * Another store on the medium of `store`, as another process would have it: with nothing in common in memory. Without it
   * the cases that need two processes are left out; a store that lives in one process has none.
   */
  connect?(store: CredentialStore): CredentialStore | Promise<CredentialStore>
  /**
   * Takes the lock of a key as a process that is killed at once: held, and never touched again. Without it the case of a
   * dead holder is left out.
   */
  abandon?(store: CredentialStore, key: Parameters<CredentialStore['lock']>[0]): Promise<void>
}

/** One behaviour that every store has. */
export interface ContractCase {
  readonly name: string
  /** Rejects with a {@link ContractViolation} when the store does not have it. Ends by itself within half a minute. */
  run(): Promise<void>
}

/** The store does something else than its contract says. */
export class ContractViolation extends Error {
  override readonly name = 'ContractViolation'
}

/** A case before it knows its store. */
export type CaseBody = (store: CredentialStore, test: StoreUnderTest) => Promise<void>

const LONGEST = 30_000

export function contractCase(name: string, test: StoreUnderTest, body: CaseBody): ContractCase {
  return {
    name,
    run: async () => within(LONGEST, 'the case did not end', (async () => body(await test.create(), test))()),
  }
}

/** Both as JSON, with members in any order. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [canonical(actual), canonical(expected)]
  if (found !== wanted) throw new ContractViolation(`${what}: expected ${wanted}, got ${found}`)
}

export function expectTrue(condition: boolean, what: string): void {
  if (!condition) throw new ContractViolation(what)
}

/** The work must reject, with this code (`store_conflict`) or as an instance of this class. */
export async function expectRejection(
  work: Promise<unknown>,
  expected: string | (new (...args: never[]) => Error),
  what: string,
): Promise<void> {
  let error: unknown
  try {
    await work
  } catch (thrown) {
    error = thrown
  }
  const fits =
    typeof expected === 'string'
      ? (error as { code?: unknown } | undefined)?.code === expected
      : error instanceof expected
  const wanted = typeof expected === 'string' ? expected : expected.name
  if (!fits) throw new ContractViolation(`${what}: expected ${wanted}, got ${String(error ?? 'no error')}`)
}

/** Fails instead of waiting for ever. */
export async function within<T>(limit: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ContractViolation(`${what} within ${limit / 1000} s`)), limit)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, member) =>
      typeof member === 'object' && member !== null && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
        : member,
    ) ?? 'undefined'
  )
}
