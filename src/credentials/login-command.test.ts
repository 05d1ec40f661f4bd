import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { loginCommand, loginRequired } from './login-command.ts'

test.each([
  ['linear', undefined, undefined, 'latchkey login linear'],
  ['https://mcp.example.com/mcp', null, null, 'latchkey login https://mcp.example.com/mcp'],
  ['demo', 'me@example.com', undefined, 'latchkey login demo --account me@example.com'],
  [
    'https://h/mcp',
    'at work',
    'by-hand',
    `latchkey login https://h/mcp --account 'at work' --client-id by-hand`,
  ],
])('for %s (%s, %s): %s', (server, account, clientId, command) => {
  expect(loginCommand(server, account, clientId)).toBe(command)
})

test.each(['two words', "it's", '$(touch /tmp/x)', '`id`', 'a;b', 'https://h/mcp?a=1&b=2', ''])(
  'a shell reads %j back as one word',
  (name) => {
    const words = loginCommand(name).replace('latchkey login ', 'printf %s ')
    expect(execFileSync('sh', ['-c', words], { encoding: 'utf8' })).toBe(name)
  },
)

test('the error says why, and ends with the command', () => {
  const error = loginRequired('demo', { why: 'nobody is there' })
  expect(error.message).toBe('Sign-in to demo is needed (nobody is there).\nRun: latchkey login demo')
  expect(error).toMatchObject({ code: 'login_required', name: 'UnauthorizedError', server: 'demo' })
})
