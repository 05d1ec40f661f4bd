import { describe, expect, test } from 'vitest'
import { argumentsOf, argumentsOfJson, argumentsOfWords, type Tool } from './tool-arguments.ts'
import { UsageError } from './usage-error.ts'

const search: Tool = {
  name: 'search',
  inputSchema: {
    properties: {
      limit: { type: 'integer' },
      query: { type: 'string' },
      exact: { type: 'boolean' },
      labels: { type: 'array' },
      since: { type: ['string', 'null'] },
      any: {},
    },
    required: ['query'],
  },
}

test('a value becomes what the schema of the tool asks for', () => {
  const words = [
    'query=123',
    'limit=10',
    'exact=true',
    'labels=["a"]',
    'since=2026',
    'any=text',
    'free:={"a":1}',
  ]
  expect(argumentsOfWords(words, search)).toEqual({
    query: '123',
    limit: 10,
    exact: true,
    labels: ['a'],
    since: '2026',
    any: 'text',
    free: { a: 1 },
  })
})

test('a value may hold "=" and line breaks, and be empty', () => {
  expect(argumentsOfWords(['query=a=b\nc', 'since='], search)).toEqual({ query: 'a=b\nc', since: '' })
})

test('an argument called __proto__ is an argument', () => {
  expect(Object.hasOwn(argumentsOfWords(['__proto__=x'], undefined), '__proto__')).toBe(true)
})

describe('refused, with what to type instead', () => {
  test.each([
    ['limit=ten', 'type integer'],
    ['limit=1.5', 'type integer'],
    ['exact=yes', 'type boolean'],
    ['labels=a', 'type array'],
    ['qery=x', 'no argument "qery"'],
    ['query', 'no argument'],
    ['limit:=ten', 'takes JSON'],
  ])('%s', (word, message) => {
    expect(() => argumentsOfWords([word], search)).toThrow(UsageError)
    expect(() => argumentsOfWords([word], search)).toThrow(message)
  })

  test.each(['[1]', 'null', '"a"', '{', ''])('%j as the whole of the arguments', (text) => {
    expect(() => argumentsOfJson(text)).toThrow(UsageError)
  })
})

test('required arguments come first', () => {
  expect(argumentsOf(search).map(({ name }) => name)).toEqual([
    'query',
    'limit',
    'exact',
    'labels',
    'since',
    'any',
  ])
})

test('a schema that is none is no reason to fail', () => {
  for (const properties of [undefined, null, [], 'x']) {
    expect(argumentsOf({ name: 'odd', inputSchema: { properties, required: 7 } })).toEqual([])
  }
})
