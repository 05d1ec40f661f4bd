import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser'
import { cleanServerText } from '../errors/server-text.ts'
import { invalid, quote } from './problem.ts'

/** Far more than any configuration needs, far less than the stack holds. */
const MAX_DEPTH = 64

/**
 * Reads JSON with comments and trailing commas. Objects come without a prototype, so that `__proto__` is a key like
 * any other. `path` is for messages only.
 *
 * Throws `config_invalid` with `key` `path:line:column`; the text itself is never shown, it may hold secrets.
 */
export function parseConfigText(text: string, path: string): unknown {
  const errors: ParseError[] = []
  // A byte order mark is an editor's, not the document's. A space keeps the columns right.
  const source = text.startsWith('\ufeff') ? ` ${text.slice(1)}` : text
  const file = cleanServerText(path, 1000)
  const place = (offset: number) => `${file}:${position(source, offset)}`
  if (source.trim() === '') throw invalid(place(0), 'the file is empty, expected {"mcpServers": {…}}.')
  let root: Node | undefined
  try {
    root = parseTree(source, errors, { allowTrailingComma: true })
  } catch (error) {
    if (error instanceof RangeError) throw invalid(file, `nested more than ${MAX_DEPTH} levels deep.`)
    throw error
  }
  const [first] = errors
  if (first) {
    const expected = EXPECTED[printParseErrorCode(first.error)] ?? 'expected JSON.'
    throw invalid(place(first.offset), `not valid JSON, ${expected}`)
  }
  return toValue(root!, place, 1)
}

/** The sentence for each error of the parser. A record by name: its enum is erased. */
const EXPECTED: Readonly<Record<string, string>> = {
  InvalidSymbol: 'expected a value or a key in double quotes.',
  InvalidNumberFormat: 'expected a number.',
  PropertyNameExpected: 'expected a key in double quotes.',
  ValueExpected: 'expected a value.',
  ColonExpected: 'expected ":" after the key.',
  CommaExpected: 'expected "," or the closing bracket.',
  CloseBraceExpected: 'expected "}".',
  CloseBracketExpected: 'expected "]".',
  EndOfFileExpected: 'expected the end of the file.',
  InvalidCommentToken: 'expected a comment to start with // or /*.',
  UnexpectedEndOfComment: 'expected "*/" at the end of the comment.',
  UnexpectedEndOfString: 'expected the string to be closed by a double quote on the same line.',
  UnexpectedEndOfNumber: 'expected a digit.',
  InvalidUnicode: 'expected four hexadecimal digits after \\u.',
  InvalidEscapeCharacter: 'expected \\", \\\\, \\/, \\b, \\f, \\n, \\r, \\t or \\u after the backslash.',
  InvalidCharacter: 'expected control characters to be escaped in a string.',
}

function toValue(node: Node, place: (offset: number) => string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw invalid(place(node.offset), `nested more than ${MAX_DEPTH} levels deep.`)
  if (node.type === 'array') return (node.children ?? []).map((item) => toValue(item, place, depth + 1))
  if (node.type !== 'object') return node.value
  const object: Record<string, unknown> = Object.create(null)
  const seen = new Map<string, number>()
  for (const property of node.children ?? []) {
    const [keyNode, valueNode] = property.children ?? []
    if (!keyNode || !valueNode) continue
    const key: string = keyNode.value
    const before = seen.get(key)
    if (before !== undefined) {
      const remedy = 'Keep one of them: programs differ in which one they would take.'
      throw invalid(
        place(keyNode.offset),
        `${quote(key)} stands here twice, first at ${place(before)}.`,
        remedy,
      )
    }
    seen.set(key, keyNode.offset)
    object[key] = toValue(valueNode, place, depth + 1)
  }
  return object
}

/** `line:column`, both from 1. */
function position(text: string, offset: number): string {
  const lines = text.slice(0, offset).split(/\r\n|\r|\n/)
  return `${lines.length}:${lines.at(-1)!.length + 1}`
}
