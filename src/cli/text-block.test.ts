import { expect, test } from 'vitest'
import { fields, wrap } from './text-block.ts'

test('long values go on under themselves; a word is never cut', () => {
  const path = `/${'x'.repeat(100)}`
  expect(
    fields(
      [
        ['scope', 'aaaa bbbb cccc'],
        ['stored', path],
      ],
      { width: 22 },
    ),
  ).toEqual(['  scope     aaaa bbbb', '            cccc', `  stored    ${path}`])
})

test('lines of a value stay lines', () => {
  expect(fields([['next', 'one\ntwo']])).toEqual(['  next      one', '            two'])
})

test('indentation at the start of a line is kept', () => {
  expect(wrap('  a b', 10)).toEqual(['  a b'])
})
