import { describe, expect, test } from 'vitest'
import { parseArguments } from './arguments.ts'
import { UsageError } from './usage-error.ts'

function problem(...argv: string[]): { message: string; remedy: string } {
  try {
    parseArguments(argv)
  } catch (error) {
    if (error instanceof UsageError) return { message: error.message, remedy: error.remedy }
    throw error
  }
  throw new Error('it was accepted')
}

describe('command lines that are understood', () => {
  test.each([
    [
      ['login', 'github', '--scope', 'repo read:user', '--callback-port=3118', '--force'],
      {
        command: 'login',
        operands: ['github'],
        flags: { scope: 'repo read:user', 'callback-port': '3118', force: true },
      },
    ],
    [
      ['--json', 'status', '--account', 'work'],
      { command: 'status', operands: [], flags: { json: true, account: 'work' } },
    ],
    [
      ['call', 'x', 'tool', 'a=1', '--', '-b=2', '--c'],
      { command: 'call', operands: ['x', 'tool', 'a=1', '-b=2', '--c'], flags: {} },
    ],
    [['logout', '--all'], { command: 'logout', operands: [], flags: { all: true } }],
    [
      ['trust', 'mcp.json', '--forget'],
      { command: 'trust', operands: ['mcp.json'], flags: { forget: true } },
    ],
    [['login', 'x', '--account=--odd'], { command: 'login', operands: ['x'], flags: { account: '--odd' } }],
  ])('%j', (argv, expected) => expect(parseArguments(argv)).toEqual(expected))
})

describe('command lines that are not', () => {
  test.each([
    [[], 'There is no command.', 'latchkey --help'],
    [['loign'], 'There is no command "loign".', 'Did you mean: latchkey login'],
    [['constructor'], 'There is no command "constructor".', 'latchkey --help'],
    [['login', 'x', '--foce'], 'There is no flag "--foce".', 'Did you mean: --force'],
    [['login', 'x', '--constructor'], 'There is no flag "--constructor".', '--help'],
    [['status', '--force'], 'latchkey status has no use for --force.', 'latchkey status --help'],
    [['login'], 'SERVER is missing.', 'latchkey login --help'],
    [['call', 'x'], 'TOOL is missing.', 'latchkey call --help'],
    [['login', 'x', 'y'], '"y" is one word too many.', 'latchkey login --help'],
    [['login', 'x', '--scope'], '--scope needs a value.', '--scope SCOPES'],
    [['login', 'x', '--account', '--json'], '--account needs a value.', '--account NAME'],
    [['login', 'x', '--account='], '--account needs a value.', '--account NAME'],
    [['status', '--json=yes'], '--json takes no value.', 'Write it as --json.'],
    [['logout'], 'either a server or --all', 'latchkey logout --help'],
    [['logout', 'x', '--all'], 'either a server or --all', 'latchkey logout --help'],
    [['logout', '--all', '--account', 'x'], 'cannot be narrowed', 'latchkey logout --help'],
    [['trust'], 'either a file or --list', 'latchkey trust --help'],
    [
      ['login', 'x', '--client-secret-stdin', '--client-secret-env', 'S'],
      'exclude each other',
      'latchkey login --help',
    ],
  ])('%j', (argv, message, remedy) => {
    const said = problem(...argv)
    expect(said.message).toContain(message)
    expect(said.remedy).toContain(remedy)
  })

  test('a secret as a value of a flag is refused and not repeated', () => {
    const said = problem('login', 'x', '--client-secret', 'hunter2-hunter2')
    expect(said.remedy).toContain('--client-secret-env NAME')
    expect(JSON.stringify(said)).not.toContain('hunter2')
    expect(JSON.stringify(problem('login', 'x', '--client-secret=hunter2-hunter2'))).not.toContain('hunter2')
  })

  test('control characters of an argument do not reach the terminal', () => {
    expect(problem('\u001b]8;;https://evil\u0007').message).not.toMatch(/[\u0000-\u001f]/)
  })
})
