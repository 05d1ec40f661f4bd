import { describe, expect, test } from 'vitest'
import { UrlRefusedError } from '../errors/index.ts'
import { shownUrl } from '../errors/shown-url.ts'
import { createUrlPolicy } from './url-policy.ts'

const REMOTE = 'https://mcp.example/mcp'
const LOCAL = 'http://127.0.0.1:3000/mcp'

describe('a remote server may name', () => {
  test.each([
    'https://as.example/token',
    'https://mcp.example/x',
    'https://as.example:8443/',
    'https://172.15.0.1/',
    'https://172.32.0.1/',
    'https://192.169.0.1/',
    'https://100.128.0.1/',
    'https://11.0.0.1/',
    'https://[2606:4700::1111]/',
    'https://[64:ff9b::808:808]/',
    'https://fd12.example/',
  ])('%s', (url) => {
    expect(createUrlPolicy(REMOTE).judge(url, 'token_endpoint').href).toBe(url)
  })

  test.each([
    ['[NET-01] plain http', 'http://as.example/token', /only https/],
    ['[NET-01] http of its own host', 'http://mcp.example/token', /only https/],
    ['[NET-02] this machine', 'https://localhost/token', /this machine/],
    ['this machine over http', 'http://127.0.0.1:8080/x', /this machine/],
    ['a loopback subdomain', 'https://a.localhost/', /this machine/],
    ['[NET-02] a loopback name with a final dot', 'https://localhost./', /this machine/],
    ['[NET-02] IPv6 loopback', 'https://[::1]/', /this machine/],
    ['[NET-04] IPv4 loopback in IPv6', 'https://[::ffff:127.0.0.1]/', /this machine/],
    ['[NET-04] decimal loopback', 'https://2130706433/', /this machine/],
    ['[NET-04] hexadecimal loopback', 'https://0x7f.1/', /this machine/],
    ['[NET-04] octal loopback', 'https://0177.0.0.1/', /this machine/],
    ['[NET-02] the unspecified address', 'https://0.0.0.0/', /this machine/],
    ['the unspecified IPv6 address', 'https://[::]/', /this machine/],
    ['[NET-03] a private network (10/8)', 'https://10.1.2.3/', /private network/],
    ['[NET-03] a private network (172.16/12)', 'https://172.31.255.255/', /private network/],
    ['[NET-03] a private network (192.168/16)', 'https://192.168.0.1:8443/', /private network/],
    ['a shared network (100.64/10)', 'https://100.127.0.1/', /private network/],
    ['[NET-03] cloud metadata (169.254/16)', 'https://169.254.169.254/latest', /no single computer/],
    ['a private address in decimal', 'https://167772161/', /private network/],
    ['[NET-04] a private address in octal', 'https://0300.0250.1/', /private network/],
    ['a private address with a final dot', 'https://10.1.2.3./', /private network/],
    ['[NET-03] a private IPv6 network', 'https://[fd12:3456::1]/', /private network/],
    ['[NET-03] an IPv6 neighbour', 'https://[fe80::1]/', /no single computer/],
    ['[NET-04] a private address in IPv6', 'https://[::ffff:10.1.2.3]/', /private network/],
    ['cloud metadata behind NAT64', 'https://[64:ff9b::169.254.169.254]/', /no single computer/],
    ['a private address behind NAT64', 'https://[64:ff9b::10.0.0.1]/', /private network/],
    ['a private address in 6to4', 'https://[2002:a00:1::]/', /private network/],
    ['a private address in RFC 6145', 'https://[::ffff:0:a00:1]/', /private network/],
    ['any address of a local translator', 'https://[64:ff9b:1::808:808]/', /private network/],
    ['a neighbour behind one', 'https://[64:ff9b:1:a00:0:500:808:808]/', /private network/],
    ['cloud metadata behind one (/48)', 'https://[64:ff9b:1:a9fe:a9:fe00:808:808]/', /no single computer/],
    ['cloud metadata behind one (/56)', 'https://[64:ff9b:1:a9:fe:a9fe::]/', /no single computer/],
    ['cloud metadata behind one (/64)', 'https://[64:ff9b:1:0:a9:fea9:fe00:0]/', /no single computer/],
    ['cloud metadata behind one (/96)', 'https://[64:ff9b:1::169.254.169.254]/', /no single computer/],
    ['a group of computers', 'https://224.0.0.1/', /no single computer/],
    ['all of them', 'https://255.255.255.255/', /no single computer/],
    ['an address for documents', 'https://[2001:db8::1]/', /no single computer/],
    ['an address for benchmarks', 'https://198.18.0.1/', /no single computer/],
    ['an IPv4 address of the first IPv6', 'https://[::7f00:1]/', /no single computer/],
    ['[OPEN-01] a script', 'javascript:alert(1)', /only https/],
    ['[OPEN-01] a file', 'file:///etc/passwd', /only https/],
    ['[OPEN-01] data', 'data:text/html,x', /only https/],
    ['a command', 'a:$(cmd.exe /c whoami)', /only https/],
    ['an argument', '--upload-pack=evil', /not a URL/],
    ['a path', '/token', /not a URL/],
    ['nothing', '', /not a URL/],
    ['user info', 'https://user:pass@as.example/', /user name or password/],
  ])('[OPEN-04] not %s', (_what, url, why) => {
    const judge = () => createUrlPolicy(REMOTE).judge(url, 'token_endpoint')
    expect(judge).toThrow(UrlRefusedError)
    expect(judge).toThrow(why)
    expect(judge).toThrow(/^The token_endpoint /)
  })
})

describe('a server on this machine may name', () => {
  test.each(['http://localhost:9000/token', 'http://[::1]:9000/', 'https://as.example/token'])(
    '[NET-07] %s',
    (url) => {
      expect(createUrlPolicy(LOCAL).judge(url, 'token_endpoint').href).toBe(url)
    },
  )

  test('[NET-01] no plain http elsewhere', () => {
    expect(() => createUrlPolicy(LOCAL).judge('http://as.example/token', 'token_endpoint')).toThrow(
      /only https/,
    )
  })
})

test('a server in a private network may name its neighbours, but not this machine', () => {
  const { judge } = createUrlPolicy('https://192.168.7.1/mcp')
  expect(judge('https://10.0.0.7/token', 'token_endpoint').host).toBe('10.0.0.7')
  expect(() => judge('https://127.0.0.1/token', 'token_endpoint')).toThrow(/this machine/)
  expect(() => judge('http://10.0.0.7/token', 'token_endpoint')).toThrow(/only https/)
})

test('[NET-10] what stands in the configuration may be anywhere', () => {
  const { judge } = createUrlPolicy(REMOTE, { configured: ['https://10.0.0.7/authorize'] })
  expect(judge('https://10.0.0.7/token', 'token_endpoint').host).toBe('10.0.0.7')
  expect(() => judge('https://10.0.0.8/token', 'token_endpoint')).toThrow(/private network/)
})

test('a server in a private network may not name what belongs to no single computer, cloud metadata least of all', () => {
  for (const server of ['https://192.168.7.1/mcp', LOCAL]) {
    const judge = () => createUrlPolicy(server).judge('https://169.254.169.254/latest', 'token_endpoint')
    expect(judge).toThrow(/no single computer/)
  }
})

test('the user may allow a remote server its private neighbours, and nothing else', () => {
  const { judge } = createUrlPolicy(REMOTE, { privateAddresses: true })
  expect(judge('https://10.0.0.7/token', 'token_endpoint').host).toBe('10.0.0.7')
  expect(() => judge('https://127.0.0.1/', 'token_endpoint')).toThrow(/this machine/)
  expect(() => judge('https://169.254.169.254/', 'token_endpoint')).toThrow(/no single computer/)
})

test.each([LOCAL, 'https://10.0.0.7/mcp', 'https://169.254.169.254/', 'http://mcp.example/mcp'])(
  'a program whose users name the servers can refuse %s',
  (server) => {
    expect(() => createUrlPolicy(server, { publicOnly: true }).judge(server, 'server URL')).toThrow(
      UrlRefusedError,
    )
  },
)

test.each([
  [REMOTE, 'https://as.example/', 'public', 'https://mcp.example'],
  [REMOTE, 'https://mcp.example/x', 'any', 'https://mcp.example'],
  ['http://mcp.example/mcp', 'https://as.example/', 'public', undefined],
  ['https://10.0.0.1/mcp', 'https://as.example/', 'private', undefined],
  [LOCAL, 'https://as.example/', 'loopback', undefined],
])('%s → %s may be reached as far as %s', (server, url, reach, widensFor) => {
  const policy = createUrlPolicy(server)
  expect(policy.reach(new URL(url))).toBe(reach)
  expect(policy.widensFor).toBe(widensFor)
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
