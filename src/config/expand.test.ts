// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are what is tested
import { expect, test } from 'vitest'
import { ConfigInvalidError, ConfigUntrustedError, type LatchkeyError } from '../errors/index.ts'
import { type Environment, expand, type Place } from './expand.ts'

function failure(act: () => unknown): LatchkeyError {
  try {
    act()
  } catch (error) {
    return error as LatchkeyError
  }
  throw new Error('was accepted')
}

const env: Environment = { TOKEN: 's3cret', EMPTY: '', DOLLAR: '$& ${TOKEN}', UNSET: undefined }
const allowed = { mode: 'allowed', env } as const
const refused = { mode: 'refused', path: '/repo/mcp.json' } as const

test.each([
  ['plain', 'plain'],
  ['$TOKEN and $ and {TOKEN}', '$TOKEN and $ and {TOKEN}'],
  ['${TOKEN}', 's3cret'],
  ['Bearer ${TOKEN}!', 'Bearer s3cret!'],
  ['${env:TOKEN}', 's3cret'],
  ['${TOKEN}${TOKEN}', 's3crets3cret'],
  ['${TOKEN:-x}', 's3cret'],
  ['${UNSET:-a default, with: signs}', 'a default, with: signs'],
  ['${MISSING:-}', ''],
  ['${env:MISSING:-x}', 'x'],
  ['${EMPTY:-x}', 'x'],
  ['${EMPTY}', ''],
  // What comes out of a variable is not looked at again.
  ['${DOLLAR}', '$& ${TOKEN}'],
])('%s becomes %s', (text, expected) => {
  expect(expand(text, 'k', allowed)).toBe(expected)
})

test('every string below a value is expanded, no key, nothing else', () => {
  const value = { a: ['${TOKEN}', 1, null, { '${TOKEN}': true }], b: false }
  expect(expand(value, 'k', allowed)).toEqual({ a: ['s3cret', 1, null, { '${TOKEN}': true }], b: false })
})

test.each([
  ['${MISSING}', 'refers to the variable MISSING, which is not set', 'Set MISSING'],
  ['${UNSET}', 'refers to the variable UNSET, which is not set', '${UNSET:-…}'],
  ['${toString}', 'the variable toString', ''],
  ['${__proto__}', 'the variable __proto__', ''],
  ['${TOKEN', 'not closed', ''],
  ['${}', 'no reference to a variable', ''],
  ['${TO KEN}', 'no reference to a variable', ''],
  ['${config:x}', 'no reference to a variable', ''],
  ['${TOKEN:+x}', 'no reference to a variable', ''],
  ['${MISSING:-${TOKEN}}', 'another reference', ''],
  ['${workspaceFolder}/x', 'known to the editor only', ''],
  ['${input:github-token}', '"github-token"', 'Write ${env:GITHUB_TOKEN} instead'],
  ['${input:}', 'asked for by VS Code', '${env:TOKEN}'],
  ['${input:1st key}', 'asked for by VS Code', '${env:INPUT_1ST_KEY}'],
])('%s is refused', (text, message, remedy) => {
  const error = failure(() => expand({ key: [text] }, 'mcpServers.a', allowed))
  expect(error).toBeInstanceOf(ConfigInvalidError)
  expect(error.summary).toMatch(/^mcpServers\.a\.key\[0\]: /)
  expect(error.summary).toContain(message)
  expect(error.remedy).toContain(remedy)
  expect(error.message).not.toContain('s3cret')
})

test('without trust a reference is refused, with the command that gives it', () => {
  const act = () => expand({ X: '${TOKEN}' }, 'mcpServers.a.headers', refused)
  expect(act).toThrow(ConfigUntrustedError)
  expect(act).toThrow('latchkey trust /repo/mcp.json')
  expect(act).toThrow('mcpServers.a.headers.X')
})

test('the command to trust a file can be pasted whatever the path', () => {
  const act = (path: string) => () => expand('${X}', 'k', { mode: 'refused', path })
  expect(act('/my repo/it’s $(id).json')).toThrow("latchkey trust '/my repo/it’s $(id).json'")
  expect(act("a'b")).toThrow(`latchkey trust 'a'\\''b'`)
  expect(act('-x')).toThrow(`latchkey trust '-x'`)
  expect(act('a\u001b[8mb')).not.toThrow('\u001b')
})

test('without trust text without references passes, and an editor input is named as such', () => {
  expect(expand(['$HOME', 'x'], 'k', refused)).toEqual(['$HOME', 'x'])
  expect(() => expand('${input:x}', 'k', refused)).toThrow('${env:X}')
})

test('objects of a program stay as they are', () => {
  const value = { a: '${TOKEN}' }
  expect(expand(value, 'k', { mode: 'off' })).toBe(value)
})

const AFTER_HOST = [
  'https://h/${X}',
  'https://h?k=${X}',
  'https://h:1/a/${X}',
  'http://[::1]:1/${X}',
  'https://h#${X}',
]
const IN_HOST = [
  '${X}',
  '${X}://h/',
  '${X}/mcp',
  'https:${X}',
  'https:/${X}/h',
  'https://${X}',
  'https://${X}/mcp',
  'https://${X}.h/mcp',
  'https://h.${X}/mcp',
  'https://h${X}',
  'https://h:${X}/mcp',
  'https://u:${X}@h/mcp',
  'https://${X}@h/mcp',
  'https:///${X}',
  'https:////${X}/h/',
  'https:\\\\${X}/h',
  'https://\t/${X}/h',
  'https://\n/${X}/h',
  'https:/\t/h${X}/',
  ' https://${X}/',
  'https://u${X}/mcp',
  'https://u:p${X}@h/mcp',
  'https://[::1]${X}/mcp',
  'https://h:8${X}/mcp',
]
const HOSTILE = [
  'evil.example',
  '/evil.example',
  '//evil.example/',
  '@evil.example/',
  '\\\\evil.example',
  ':80@evil.example',
  '.evil.example',
  'https://evil.example',
  '#@evil.example',
  '?@evil.example/',
  '\t//evil.example',
  '\r\n@evil.example',
  '\\@evil.example',
  '/../../..//evil.example',
  '${Y}',
]

test.each(AFTER_HOST)('%s: whatever the variable holds, the host stays', (text) => {
  const { host } = new URL(text.replace('${X}', 'x'))
  for (const X of HOSTILE) {
    const url = expand(text, 'url', { mode: 'allowed', env: { X } }, 'url') as string
    expect(new URL(url).host).toBe(host)
    expect(new URL(url).username).toBe('')
  }
})

test.each(IN_HOST)('%j: a variable in the host is refused', (text) => {
  const act = () => expand(text, 'url', { mode: 'allowed', env: { X: 'h' } }, 'url')
  expect(act).toThrow(ConfigInvalidError)
  expect(act).toThrow('host')
})

test('a reference after one in the path cannot reach the host either', () => {
  expect(expand('https://h/${X}${Y}', 'url', { mode: 'allowed', env: { X: '@', Y: 'e' } }, 'url')).toBe(
    'https://h/@e',
  )
})

test('a default in the host is refused like a variable', () => {
  expect(() => expand('${BASE:-https://h}/mcp', 'url', allowed, 'url')).toThrow(ConfigInvalidError)
})

test('in a list of hosts no reference is allowed, elsewhere below the same key it is', () => {
  const placeOf = (key: string): Place => (key === 'hosts' ? 'host' : 'text')
  expect(() => expand({ hosts: ['a', '${TOKEN}'] }, 'k', allowed, 'text', placeOf)).toThrow('k.hosts[1]')
  expect(expand({ other: ['${TOKEN}'] }, 'k', allowed, 'text', placeOf)).toEqual({ other: ['s3cret'] })
})
