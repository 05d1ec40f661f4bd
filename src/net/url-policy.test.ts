import { describe, expect, test } from 'vitest'
import { UrlRefusedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import { createUrlPolicy } from './url-policy.ts'

const REMOTE = 'https://mcp.example/mcp'
const LOCAL = 'http://127.0.0.1:3000/mcp'

describe('a remote server may name', () => {
  test.each(['https://as.example/token', 'https://mcp.example/x', 'https://as.example:8443/'])(
    '%s',
    (url) => {
      expect(createUrlPolicy(REMOTE).judge(url, 'token_endpoint').href).toBe(url)
    },
  )

  test.each([
    ['plain http', 'http://as.example/token', /only https/],
    ['http of its own host', 'http://mcp.example/token', /only https/],
    ['this machine', 'https://localhost/token', /this machine/],
    ['this machine over http', 'http://127.0.0.1:8080/x', /this machine/],
    ['a loopback subdomain', 'https://a.localhost/', /this machine/],
    ['a loopback name with a final dot', 'https://localhost./', /this machine/],
    ['IPv6 loopback', 'https://[::1]/', /this machine/],
    ['IPv4 loopback in IPv6', 'https://[::ffff:127.0.0.1]/', /this machine/],
    ['decimal loopback', 'https://2130706433/', /this machine/],
    ['hexadecimal loopback', 'https://0x7f.1/', /this machine/],
    ['octal loopback', 'https://0177.0.0.1/', /this machine/],
    ['the unspecified address', 'https://0.0.0.0/', /this machine/],
    ['the unspecified IPv6 address', 'https://[::]/', /this machine/],
    ['a script', 'javascript:alert(1)', /only https/],
    ['a file', 'file:///etc/passwd', /only https/],
    ['data', 'data:text/html,x', /only https/],
    ['a command', 'a:$(cmd.exe /c whoami)', /only https/],
    ['an argument', '--upload-pack=evil', /not a URL/],
    ['a path', '/token', /not a URL/],
    ['nothing', '', /not a URL/],
    ['user info', 'https://user:pass@as.example/', /user name or password/],
  ])('not %s', (_what, url, why) => {
    const judge = () => createUrlPolicy(REMOTE).judge(url, 'token_endpoint')
    expect(judge).toThrow(UrlRefusedError)
    expect(judge).toThrow(why)
    expect(judge).toThrow(/^The token_endpoint /)
  })
})

describe('a server on this machine may name', () => {
  test.each(['http://localhost:9000/token', 'http://[::1]:9000/', 'https://as.example/token'])(
    '%s',
    (url) => {
      expect(createUrlPolicy(LOCAL).judge(url, 'token_endpoint').href).toBe(url)
    },
  )

  test('no plain http elsewhere', () => {
    expect(() => createUrlPolicy(LOCAL).judge('http://as.example/token', 'token_endpoint')).toThrow(
      /only https/,
    )
  })
})

test('the origin the user configured is the choice of the user', () => {
  expect(createUrlPolicy('http://intra/mcp').judge('http://intra/token', 'token_endpoint').host).toBe('intra')
  expect(() => createUrlPolicy('http://intra/mcp').judge('http://other/', 'x')).toThrow(/only https/)
})

test.each([
  ['https://as.example/a?code=secret&state=s&code=t', 'https://as.example/a?code=…&state=…'],
  ['https://user:secret@as.example/a#access_token=secret', 'https://as.example/a'],
  ['data:text/html,secret', '"data:"'],
  ['not a url \u001b[2J', '"not a url  [2J"'],
])('%j is shown as %j', (url, shown) => {
  expect(shownUrl(url)).toBe(shown)
})
