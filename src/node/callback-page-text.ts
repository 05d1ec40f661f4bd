import { UNSAFE_CHARACTER } from '../errors/server-text.ts'

const invisible = new RegExp(`(?!\\n)${UNSAFE_CHARACTER.source}`, 'gu')

/** Text from anywhere, made fit to be read: no controls, no bidirectional tricks, at most `longest` characters. */
export function plainText(text: string, longest: number): string {
  const characters = [
    ...text
      .slice(0, longest * 4)
      .replace(invisible, ' ')
      .trim(),
  ]
  return characters.length > longest
    ? `${characters
        .slice(0, longest - 1)
        .join('')
        .trimEnd()}…`
    : characters.join('')
}

/** The same on one line. */
export function plainLine(text: string, longest: number): string {
  return plainText(text.slice(0, longest * 4).replace(/\s+/g, ' '), longest)
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** Paragraphs of HTML. */
export function paragraphs(text: string, attributes = ''): string {
  return text
    .split(/\n+/)
    .filter((line) => line.trim() !== '')
    .map((line) => `<p${attributes}>${withCode(line.trim())}</p>`)
    .join('')
}

/** HTML in which that becomes code what stands between backticks, as our messages write settings and commands. */
export function withCode(line: string): string {
  return line
    .split(/(`[^`]+`)/)
    .map((part) =>
      /^`[^`]+`$/.test(part) ? `<code>${escapeHtml(part.slice(1, -1))}</code>` : escapeHtml(part),
    )
    .join('')
}
