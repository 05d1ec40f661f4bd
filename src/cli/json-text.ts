import { escapeUnsafe, UNSAFE_CHARACTER } from '../errors/server-text.ts'

/** JSON that is harmless on a terminal as well: whatever could steer one is escaped, which JSON allows in strings. */
export function jsonText(value: unknown): string {
  return `${escapeUnsafe(JSON.stringify(value, null, 2), STEERING)}\n`
}

/** Line ends stand between the members only. */
const STEERING = new RegExp(`(?!\\n)${UNSAFE_CHARACTER.source}`, 'gu')
