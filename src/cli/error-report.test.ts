import { describe, expect, test } from 'vitest'
import { LoginRequiredError, NetworkFailedError } from '../errors/index.ts'
import { errorDocument, errorLines } from './error-report.ts'
import { exitCodeOf } from './exit-codes.ts'
import { UsageError } from './usage-error.ts'

const required = new LoginRequiredError({
  message: 'Sign-in to demo is needed.',
  remedy: `Run: latchkey login demo --config '${'x'.repeat(90)} y'`,
  server: 'demo',
})
const network = new NetworkFailedError({
  message: `as.example could not be reached (ECONNREFUSED) ${'and so on '.repeat(10)}`.trim(),
  remedy: 'Check the address.\nThen try again.',
  url: 'https://as.example/token',
})

test('what happened, what to do below it, and the code', () => {
  expect(errorLines(network)).toEqual([
    `latchkey: ${network.summary}`,
    '  Check the address.',
    '  Then try again.',
    '  (network_failed)',
  ])
})

test('on a terminal prose is broken between words; a command to be typed never is', () => {
  const lines = errorLines(network, 60)
  expect(lines.length).toBeGreaterThan(4)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(60)
  expect(errorLines(required, 60)).toContain(`  ${required.remedy}`)
})

test('as data, with the fields of the error and without its stack', () => {
  expect(errorDocument(network)).toEqual({
    error: {
      code: 'network_failed',
      message: network.summary,
      remedy: network.remedy,
      url: 'https://as.example/token',
    },
  })
})

describe('errors that are not of the library', () => {
  test('usage', () => {
    const usage = new UsageError('There is no command.', 'latchkey --help lists the commands.')
    expect(errorLines(usage).at(-1)).toBe('  (usage)')
    expect(errorDocument(usage).error.code).toBe('usage')
    expect(exitCodeOf(usage)).toBe(2)
  })

  test('S22: what a server answered is one line without control characters', () => {
    const answered = Object.assign(new Error('no\u001b[8m\r\nlatchkey: all is well'), { code: -32602 })
    const lines = errorLines(answered)
    expect(lines).toEqual([
      'latchkey: The server answered with an error: no [8m latchkey: all is well',
      '  (mcp_error -32602)',
    ])
    expect(errorDocument(answered).error).toMatchObject({ code: 'mcp_error', mcp_code: -32602 })
    expect(exitCodeOf(answered)).toBe(1)
  })

  test('a bug says that it is one', () => {
    expect(errorLines(new TypeError('x is undefined')).join('\n')).toContain('This should not happen')
    expect(exitCodeOf(new TypeError())).toBe(1)
    expect(exitCodeOf('thrown string')).toBe(1)
  })
})
