/** JSON that is harmless on a terminal as well: whatever could steer one is escaped, which JSON allows in strings. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  return `${text.replace(STEERING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}

/** C1 controls, invisible characters, bidi overrides; `JSON.stringify` has escaped C0 already. */
const STEERING = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g
