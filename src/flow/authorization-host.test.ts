import { expect, test } from 'vitest'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import { foreignAuthorizationHost, hostToConfirm, wasConfirmed } from './authorization-host.ts'
import type { TokenSet } from './token-set.ts'

function foreign(issuer: string, page: string, authorization_hosts: string[] = []): string | undefined {
  const metadata = { issuer, authorization_endpoint: page } as ServerMetadata
  return foreignAuthorizationHost({ metadata, source: 'resource metadata' }, { authorization_hosts })
}

test.each([
  ['https://as.example.com', 'https://as.example.com/authorize'],
  ['https://as.example.com/tenant', 'https://as.example.com:8443/authorize'],
  ['https://as.example.com', 'https://login.as.example.com/authorize'],
  ['https://as.example.com', 'https://example.com/authorize'],
  ['http://127.0.0.1:4000', 'http://127.0.0.1:5000/authorize'],
  ['https://[2001:db8::1]', 'https://[2001:db8::1]:8443/authorize'],
  ['https://as.example.com', 'https://as.example.com./authorize'],
  ['https://as.example.com.', 'https://example.com/authorize'],
])('%s may send people to %s', (issuer, page) => {
  expect(foreign(issuer, page)).toBeUndefined()
})

test.each([
  ['https://as.example.com', 'https://evil.example/authorize', 'evil.example'],
  // A neighbour: with shared domains (tenants, *.github.io) that is somebody else.
  ['https://one.example.com', 'https://two.example.com/authorize', 'two.example.com'],
  ['https://example.com', 'https://com/authorize', 'com'],
  ['https://example.com', 'https://evilexample.com/authorize', 'evilexample.com'],
  ['https://example.com', 'https://example.com.evil.example/', 'example.com.evil.example'],
  ['http://127.0.0.1:4000', 'http://localhost:5000/authorize', 'localhost:5000'],
  ['https://10.0.0.1', 'https://0.0.1/authorize', '0.0.0.1'],
  ['https://[2001:db8::1]', 'https://[2001:db8::2]/authorize', '[2001:db8::2]'],
  // A final dot makes no parent of what is none.
  ['https://example.com.', 'https://com./authorize', 'com.'],
  ['https://example.com', 'https://evil.example./authorize', 'evil.example.'],
  ['https://tenant.github.io', 'https://other.github.io/authorize', 'other.github.io'],
  ['https://paypal.com', 'https://pаypal.com/authorize', 'xn--pypal-4ve.com'],
])('[OPEN-06] %s may not send people to %s unasked', (issuer, page, host) => {
  expect(foreign(issuer, page)).toBe(host)
  expect(foreign(issuer, page, [host])).toBeUndefined()
  expect(foreign(issuer, page, [`x.${host}`])).toBe(host)
})

test('metadata of the configuration is vouched for', () => {
  const metadata = { issuer: 'https://a.example', authorization_endpoint: 'https://b.example/' }
  const found = { metadata: metadata as ServerMetadata, source: 'configuration' } as const
  expect(foreignAuthorizationHost(found, {})).toBeUndefined()
})

test('a confirmation is for one host and one issuer', () => {
  const previous = { issuer: 'https://a', confirmed_authorization_host: 'b' } as TokenSet
  expect(wasConfirmed('b', 'https://a', previous)).toBe(true)
  expect(wasConfirmed('c', 'https://a', previous)).toBe(false)
  expect(wasConfirmed('b', 'https://other', previous)).toBe(false)
  expect(wasConfirmed('b', 'https://a', undefined)).toBe(false)
})

test('a name that may only look like one the person knows is confirmed too, whoever it belongs to', () => {
  const host = 'xn--pypal-4ve.com'
  const metadata = {
    issuer: `https://${host}`,
    authorization_endpoint: `https://${host}/a`,
  } as ServerMetadata
  const found = { metadata, source: 'resource metadata' } as const
  const server = 'https://mcp.example/mcp'
  expect(hostToConfirm(found, {}, server)).toBe(host)
  expect(hostToConfirm(found, { authorization_hosts: [host] }, server)).toBeUndefined()
  expect(hostToConfirm({ metadata, source: 'configuration' }, {}, server)).toBeUndefined()
  // They wrote this name themselves.
  expect(hostToConfirm(found, {}, `https://${host}/mcp`)).toBeUndefined()
})
