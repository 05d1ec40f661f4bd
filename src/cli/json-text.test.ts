import { expect, test } from 'vitest'
import { jsonText } from './json-text.ts'
import { terminalText } from './terminal-text.ts'

test('S22: a document means the same and steers no terminal', () => {
  const value = { text: 'a\u001b[8m\u009b8m\u202eb\u2028\u0007\n' }
  const text = jsonText(value)
  expect(JSON.parse(text)).toEqual(value)
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028]/)
})

test('S22: so does everything that text output leaves out: marks of direction, tags, fillers', () => {
  const value = { '\u{e0041}\u061c': '\u206a\u3164\u{f0000}\u00ad' }
  const text = jsonText(value)
  expect(JSON.parse(text)).toEqual(value)
  expect(text).toMatch(/^[\x20-\x7e\n]*$/)
})

test('S22: text on a terminal keeps its lines and indentation, and nothing that steers', () => {
  expect(terminalText('  a\u001b]52;c;x\u0007\r\n\tb\u009b8m\u202ec')).toBe('  a]52;c;x\n\tb8mc')
})
