import { cleanServerText } from '../errors/server-text.ts'
import { invalid } from './problem.ts'

/**
 * Reads the text of an `envFile`: `NAME=value` lines, `export ` in front allowed, `#` comments, values bare or in
 * single quotes (literal), double quotes (`\n`, `\r`, `\t`, `\"`, `\\`, `\$`) or backticks; quoted values may span
 * lines. Nothing is expanded. A later line wins. `path` is for messages only.
 *
 * Throws `config_invalid` with `key` `path:line`; the text is never shown.
 */
export function parseEnvFile(text: string, path: string): Record<string, string> {
  const variables: Record<string, string> = Object.create(null)
  const source = text.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  const line = /[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][\w.-]*)[^\S\n]*=[^\S\n]*/y
  const blank = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y
  let offset = 0
  while (offset < source.length) {
    blank.lastIndex = offset
    if (blank.test(source)) {
      offset = blank.lastIndex
      continue
    }
    // Only for what is wrong: counted for every line, a long file would take minutes.
    const start = offset
    const place = () => `${cleanServerText(path, 1000)}:${source.slice(0, start).split('\n').length}`
    line.lastIndex = offset
    const name = line.exec(source)?.[1]
    if (name === undefined) throw invalid(place(), 'expected NAME=value.')
    const { value, end } = readValue(source, line.lastIndex, place)
    if (value.includes('\0')) throw invalid(place(), 'found a NUL character, expected none.')
    variables[name] = value
    blank.lastIndex = end
    if (!blank.test(source)) throw invalid(place(), 'expected the end of the line after the closing quote.')
    offset = blank.lastIndex
  }
  return variables
}

function readValue(source: string, start: number, place: () => string): { value: string; end: number } {
  const quoteMark = source[start]
  if (quoteMark !== '"' && quoteMark !== "'" && quoteMark !== '`') {
    const lineEnd = source.indexOf('\n', start)
    const end = lineEnd === -1 ? source.length : lineEnd
    // A `#` belongs to the value unless white space stands before it, as in a shell.
    const value = source.slice(start, end).replace(/(^|\s)#[\s\S]*$/, '')
    return { value: value.trim(), end }
  }
  const quoted =
    quoteMark === '"' ? /"((?:[^"\\]|\\[\s\S])*)"/y : quoteMark === "'" ? /'([^']*)'/y : /`([^`]*)`/y
  quoted.lastIndex = start
  const inner = quoted.exec(source)?.[1]
  if (inner === undefined) throw invalid(place(), 'a quote is not closed.')
  return { value: quoteMark === '"' ? unescaped(inner) : inner, end: quoted.lastIndex }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }

/** A backslash before anything else stays: Windows paths are written in double quotes too. */
function unescaped(text: string): string {
  return text.replace(/\\([nrt"\\$])/g, (_, letter: string) => ESCAPES[letter]!)
}
