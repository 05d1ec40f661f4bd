import { UNSAFE_CHARACTER } from '../errors/server-text.ts'

/** JSON that is harmless on a terminal as well: whatever could steer one is escaped, which JSON allows in strings. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2).replace(STEERING, escaped)}\n`
}

/** Line ends stand between the members only. */
const STEERING = new RegExp(`(?!\\n)${UNSAFE_CHARACTER.source}`, 'gu')

/** One escape for each half of a pair. */
function escaped(character: string): string {
  return character
    .split('')
    .map((half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
