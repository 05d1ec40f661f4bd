import { expect, test } from 'vitest'
import { loginCommand } from './login-command.ts'

test.each([
  ['linear', 'latchkey login linear'],
  ['https://mcp.linear.app/sse', 'latchkey login https://mcp.linear.app/sse'],
  ["my server's", "latchkey login 'my server'\\''s'"],
  ['x; rm -rf ~', "latchkey login 'x; rm -rf ~'"],
  ['-x', "latchkey login '-x'"],
  ['$(id)', "latchkey login '$(id)'"],
])('the command for %j can be pasted into a shell', (server, command) => {
  expect(loginCommand(server)).toBe(command)
})

test('the command names the account and the client', () => {
  expect(loginCommand('demo', 'at work', 'app')).toBe(
    "latchkey login demo --account 'at work' --client-id app",
  )
})
