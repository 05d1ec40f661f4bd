/** Keys and records that the cases of the contract are about. */
import type { CredentialKey, JsonObject } from '../ports.ts'

export interface SampleParts extends Partial<Pick<CredentialKey, 'serverDomain' | 'account'>> {
  readonly url?: string
  readonly client?: string | null
}

export function tokens(parts: SampleParts = {}): CredentialKey {
  const { url = 'https://mcp.example.com/mcp', client = null, ...place } = parts
  return {
    kind: 'tokens',
    serverDomain: 'mcp.example.com',
    account: null,
    identity: { server_url: url, configured_client_id: client },
    ...place,
  }
}

export function registrations(issuer: string, account: string | null = null): CredentialKey {
  const identity = { issuer, redirect_uri: 'http://localhost:8080/callback' }
  return { kind: 'registrations', serverDomain: 'mcp.example.com', account, identity }
}

/** The least that may be written under a key. */
export function recordOf(key: CredentialKey, access_token = 'a token'): JsonObject {
  return { ...key.identity, access_token }
}

/** Differ from `tokens()` in one thing each. */
export const OTHERS: readonly (readonly [string, CredentialKey])[] = [
  ['URL', tokens({ url: 'https://mcp.example.com/other' })],
  ['URL but for a slash', tokens({ url: 'https://mcp.example.com/mcp/' })],
  ['configured client', tokens({ client: 'client-1' })],
  ['client named null', tokens({ client: 'null' })],
  ['account', tokens({ account: 'jane' })],
  ['empty account', tokens({ account: '' })],
  ['account named null', tokens({ account: 'null' })],
  ['domain', tokens({ serverDomain: 'mcp.example.com_8443' })],
  ['kind', registrations('https://mcp.example.com/mcp')],
]

/** Accounts are any text that a person or a program chose. */
export const HOSTILE_ACCOUNTS: readonly string[] = [
  '__proto__',
  'constructor',
  '../../x',
  'a/b',
  'nul',
  'A',
  'a',
  '*',
  'a:b',
  "' OR 1=1 --",
  '%',
  '\u0000',
  '\n',
  '💥',
  'x'.repeat(2000),
]
