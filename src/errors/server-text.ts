/** Characters that could steer a terminal or hide text: C0/C1 controls, bidi overrides, zero-width, line separators. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2069\ufeff]+/g

/**
 * Text that a server chose, made safe to print: quoted, on one line, without control characters, at most
 * `limit` characters (default 200).
 */
export function quoteServerText(text: string, limit = 200): string {
  return JSON.stringify(cleanServerText(text, limit))
}

/** The same without the quotes, for fields that are shown on their own. */
export function cleanServerText(text: string, limit = 200): string {
  const clean = text.replace(UNSAFE, ' ').trim()
  return clean.length > limit ? `${clean.slice(0, limit)}…` : clean
}
