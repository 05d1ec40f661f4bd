import { expect, test } from 'vitest'
import { identityString, registrationKey, serverDomain, tokensKey } from './identity.ts'

test.each([
  ['https://mcp.example.com/mcp', 'mcp.example.com'],
  ['https://MCP.Example.com:443/mcp', 'mcp.example.com'],
  ['http://mcp.example.com:80/', 'mcp.example.com'],
  ['https://mcp.example.com:8443/mcp', 'mcp.example.com_8443'],
  ['http://localhost:3000/mcp', 'localhost_3000'],
  ['http://[::1]:3000/mcp', '--1_3000'],
  ['https://[2001:db8::1]/mcp', '2001-db8--1'],
  ['https://bücher.example/mcp', 'xn--bcher-kva.example'],
])('the domain of %s is %s', (url, domain) => {
  expect(serverDomain(url)).toBe(domain)
})

const identity = { serverUrl: 'https://mcp.example.com/a', account: null, configuredClientId: null }

test('[STORE-05] whatever tells two logins apart is in the key, and in the string', () => {
  const others = [
    { ...identity, serverUrl: 'https://mcp.example.com/b' },
    { ...identity, account: 'work' },
    { ...identity, configuredClientId: 'by-hand' },
  ]
  for (const other of others) {
    expect(tokensKey(other)).not.toEqual(tokensKey(identity))
    expect(identityString(other)).not.toBe(identityString(identity))
  }
})

test('[BIND-01] accounts never share a registration, issuers and redirect URIs do not either', () => {
  const key = registrationKey(identity, 'https://as.example', 'http://localhost:8080/callback')
  expect(
    registrationKey({ ...identity, account: 'work' }, 'https://as.example', 'http://localhost:8080/callback'),
  ).not.toEqual(key)
  expect(registrationKey(identity, 'https://as.example/', 'http://localhost:8080/callback')).not.toEqual(key)
  expect(registrationKey(identity, 'https://as.example', 'http://localhost:8081/callback')).not.toEqual(key)
})
