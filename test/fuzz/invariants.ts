import assert from 'node:assert/strict'
import { type ErrorCode, isLatchkeyError, type LatchkeyError } from '../../src/errors/index.ts'

/** Controls, format characters (bidirectional, invisible, tags), broken surrogates, line separators; a line end is fine. */
const UNSHOWABLE = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** Runs `work`; what it throws must be an error of ours with one of these codes and words that can be shown. */
export async function outcomeOf<T>(
  work: () => T | Promise<T>,
  codes: readonly ErrorCode[],
): Promise<{ value: T } | { error: LatchkeyError }> {
  try {
    return { value: await work() }
  } catch (error) {
    if (!isLatchkeyError(error)) throw new Error('An error that is none of ours', { cause: error })
    assert.ok(codes.includes(error.code), `the code ${error.code}`)
    assertShowable(error.message)
    assertShowable(error.summary)
    assertShowable(error.remedy)
    return { error }
  }
}

/** Nothing in it acts on a terminal or hides from a reader. */
export function assertShowable(text: string): void {
  const found = UNSHOWABLE.exec(text)
  assert.equal(
    found,
    null,
    `U+${found?.[0].codePointAt(0)?.toString(16)} in ${JSON.stringify(text.slice(0, 300))}`,
  )
}

const PIECE = 8

/** No piece of a secret, eight characters long, stands in the text. */
export function assertKeepsSecret(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    for (let start = 0; start + PIECE <= secret.length; start += 1) {
      const piece = secret.slice(start, start + PIECE)
      assert.ok(
        !text.includes(piece),
        `a piece of a secret (${piece}) in ${JSON.stringify(text.slice(0, 300))}`,
      )
    }
  }
}

/** What was read changed no prototype: what is added there by mistake is enumerable. */
export function assertPrototypesClean(): void {
  for (const value of [{}, [], '', () => {}]) {
    for (const name in Object.getPrototypeOf(value)) assert.fail(`a prototype was given ${name}`)
  }
}

/** Values that are objects are plain ones, at every depth: nobody gave them another prototype. */
export function assertPlain(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const prototype = Object.getPrototypeOf(value)
  assert.ok(
    prototype === null || prototype === Object.prototype || prototype === Array.prototype,
    'an object with another prototype',
  )
  for (const member of Object.values(value)) assertPlain(member)
}
