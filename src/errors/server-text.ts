/**
 * What could steer a terminal, reorder, hide or fill text: controls, format characters (bidirectional, invisible, tags),
 * fillers, halves of surrogate pairs, separators of lines and paragraphs.
 */
export const UNSAFE_CHARACTER =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u

/** For `replace`. */
export const EVERY_UNSAFE = new RegExp(UNSAFE_CHARACTER, 'gu')

const UNSAFE = new RegExp(`${UNSAFE_CHARACTER.source}+`, 'gu')

/**
 * Text that a server chose, made safe to print: quoted, on one line, without control characters, at most
 * `limit` characters (default 200).
 */
export function quoteServerText(text: string, limit = 200): string {
  return JSON.stringify(cleanServerText(text, limit))
}

/** Text in which each of them is written as JavaScript and JSON escape it. */
export function escapeUnsafe(text: string, unsafe = EVERY_UNSAFE): string {
  return text.replace(unsafe, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** The same without the quotes, for fields that are shown on their own. */
export function cleanServerText(text: string, limit = 200): string {
  const clean = text.replace(UNSAFE, ' ').trim()
  if (clean.length <= limit) return clean
  // Not in the middle of a pair.
  return `${clean.slice(0, limit).replace(/\p{Cs}$/u, '')}…`
}
