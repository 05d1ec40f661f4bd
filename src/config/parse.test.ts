import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { parseConfigText } from './parse.ts'

function failure(text: string): ConfigInvalidError {
  try {
    parseConfigText(text, 'mcp.json')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigInvalidError)
    return error as ConfigInvalidError
  }
  throw new Error('was accepted')
}

test('comments, trailing commas and a byte order mark are read', () => {
  const text = '\ufeff// one\r\n{ /* two */ "a": [1, true, null, "x",], // three\r\n }'
  expect(parseConfigText(text, 'mcp.json')).toEqual({ a: [1, true, null, 'x'] })
})

test.each([
  ['', 'mcp.json:1:1', 'mcpServers'],
  [' \n ', 'mcp.json:1:1', 'mcpServers'],
  ['{"a" 1}', 'mcp.json:1:6', '":"'],
  ['{\n  "a": 1\n  "b": 2\n}', 'mcp.json:3:3', '","'],
  ['{\r\n  "a": 1\r\n  "b": 2\r\n}', 'mcp.json:3:3', '","'],
  ['{"a":}', 'mcp.json:1:6', 'value'],
  ["{'a':1}", 'mcp.json:1:2', 'double quotes'],
  ['{a:1}', 'mcp.json:1:2', 'double quotes'],
  ['{"a":1}}', 'mcp.json:1:8', 'end of the file'],
  ['{', 'mcp.json:1:2', '"}"'],
  ['[1', 'mcp.json:1:3', '"]"'],
  ['{"a":"x\ny"}', 'mcp.json:1:6', 'double quote'],
  ['{"a":"\\q"}', 'mcp.json:1:6', 'backslash'],
  ['{"a":1}/*', 'mcp.json:1:8', '"*/"'],
  ['{"a":1,,}', 'mcp.json:1:8', 'key'],
])('%j fails at %s', (text, key, expected) => {
  const error = failure(text)
  expect(error.key).toBe(key)
  expect(error.message).toContain(expected)
})

test('a key that stands twice is an error that names both places', () => {
  const error = failure('{\n "a": {\n  "x": 1,\n  "x": 2\n }\n}')
  expect(error.key).toBe('mcp.json:4:3')
  expect(error.message).toContain('"x"')
  expect(error.message).toContain('mcp.json:3:3')
})

test('the same key in different objects is fine', () => {
  expect(parseConfigText('{"a":{"x":1},"b":{"x":2}}', 'mcp.json')).toEqual({ a: { x: 1 }, b: { x: 2 } })
})

test('__proto__ is a key like any other and changes no prototype', () => {
  const value = parseConfigText('{"__proto__":{"polluted":1},"constructor":2}', 'mcp.json') as object
  expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
  expect('polluted' in value).toBe(false)
  expect(({} as { polluted?: number }).polluted).toBeUndefined()
})

test.each([65, 200, 200_000])('%i levels of nesting are refused without overflowing the stack', (depth) => {
  expect(failure('['.repeat(depth) + ']'.repeat(depth)).message).toContain('levels deep')
})

test('60 levels of nesting are read', () => {
  expect(parseConfigText('['.repeat(60) + ']'.repeat(60), 'mcp.json')).toBeInstanceOf(Array)
})

test('the text is never shown', () => {
  const texts = [
    '{"auth": "sk-canary-1',
    '{"auth": sk-canary-1}',
    '{"auth": "sk-canary-1" "x": 1}',
    '"sk-canary-1" 1',
  ]
  for (const text of texts) expect(JSON.stringify(failure(text))).not.toContain('canary')
})
