// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that nothing is expanded is what is tested
import { expect, test } from 'vitest'
import { parseEnvFile } from './env-file.ts'

test.each([
  ['', {}],
  ['A=1', { A: '1' }],
  ['A=1\nB=2\n', { A: '1', B: '2' }],
  ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
  ['\ufeffA=1', { A: '1' }],
  ['  export A = 1  ', { A: '1' }],
  ['exported=1', { exported: '1' }],
  ['# comment\n\n   # more\nA=1', { A: '1' }],
  ['A=1 # comment', { A: '1' }],
  ['A=#comment', { A: '' }],
  ['A=a#b', { A: 'a#b' }],
  ['A=', { A: '' }],
  ['A=\nB=2', { A: '', B: '2' }],
  ['A=a=b==', { A: 'a=b==' }],
  ['A="a # b"  # comment', { A: 'a # b' }],
  ['A="line\\nbreak \\"q\\" \\\\ \\$X \\w"', { A: 'line\nbreak "q" \\ $X \\w' }],
  ["A='$X \\n \"'", { A: '$X \\n "' }],
  ['A=`it\'s "x"`', { A: 'it\'s "x"' }],
  ['KEY="-----BEGIN-----\nabc\n-----END-----"\nB=2', { KEY: '-----BEGIN-----\nabc\n-----END-----', B: '2' }],
  ['A=${HOME}', { A: '${HOME}' }],
  ['A=1\nA=2', { A: '2' }],
  ['a.b-c=1', { 'a.b-c': '1' }],
])('%j', (text, expected) => {
  expect({ ...parseEnvFile(text, '.env') }).toEqual(expected)
})

test('__proto__ is a name like any other', () => {
  expect(Object.keys(parseEnvFile('__proto__=x', '.env'))).toEqual(['__proto__'])
})

test.each([
  ['A=1\nsk-canary', '.env:2', 'NAME=value'],
  ['=sk-canary', '.env:1', 'NAME=value'],
  ['1A=sk-canary', '.env:1', 'NAME=value'],
  ['A="sk-canary', '.env:1', 'not closed'],
  ['B=1\n\nA="sk\ncanary" x', '.env:3', 'end of the line'],
  ['A=sk-canary\0', '.env:1', 'NUL'],
])('%j is refused at %s without showing it', (text, key, message) => {
  const act = () => parseEnvFile(text, '.env')
  expect(act).toThrow(`${key}: `)
  expect(act).toThrow(message)
  expect(act).not.toThrow('canary')
})

test.each([
  ['many lines', 'A=1\n'.repeat(100_000)],
  ['many comment signs before a line separator', `A=${' #'.repeat(100_000)}\u2028x`],
])('%s are read in no time', (_, text) => {
  const before = process.cpuUsage()
  expect(Object.keys(parseEnvFile(text, '/x'))).toEqual(['A'])
  const { user } = process.cpuUsage(before)
  expect(user / 1000).toBeLessThan(1000)
})
