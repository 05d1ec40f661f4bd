import { expect, test } from 'vitest'
import type { CredentialKey, JsonObject } from '../ports.ts'
import {
  credentialCodec,
  emptyDocument,
  encodeDocument,
  findRecord,
  withoutRecord,
  withRecord,
} from './store-document.ts'

const key: CredentialKey = {
  kind: 'tokens',
  serverDomain: 'mcp.example.com',
  account: null,
  identity: { server_url: 'https://mcp.example.com/mcp', configured_client_id: null },
}
const codec = credentialCodec({ ...key, fitsAccount: (account) => account === null })
const document = (changes: JsonObject = {}): JsonObject => ({ ...emptyDocument(key), ...changes })
const decode = (value: unknown) => codec.decode(JSON.stringify(value))

test('a document is pretty JSON that ends in a newline, and reads back as it was', () => {
  const written = withRecord(emptyDocument(key), key, { record: { ...key.identity }, revision: 'r1' })
  const text = encodeDocument(written)
  expect(text).toBe(`{
  "format": "latchkey-credentials",
  "version": 1,
  "kind": "tokens",
  "server_domain": "mcp.example.com",
  "account": null,
  "records": [
    {
      "server_url": "https://mcp.example.com/mcp",
      "configured_client_id": null,
      "revision": "r1"
    }
  ]
}
`)
  expect(codec.decode(text)).toEqual({ state: 'ours', document: written })
})

test.each<[string, unknown]>([
  ["mcp-use's token file", { access_token: 'a', token_type: 'Bearer', expires_at: null }],
  ['a list', []],
  ['null', null],
  ['a string', 'latchkey-credentials'],
  ['another format', document({ format: 'something-else' })],
  ['a document of another domain', document({ server_domain: 'other.example.com' })],
  ['a document of another account', document({ account: 'jane' })],
  ['a document of another kind', document({ kind: 'registrations' })],
])('%s is not ours to use or to touch', (_, value) => {
  expect(decode(value).state).toBe('foreign')
})

test('a format that is only inherited does not make a document ours', () => {
  expect(codec.decode('{"__proto__": {"format": "latchkey-credentials", "version": 1}}').state).toBe(
    'foreign',
  )
})

test.each<[string, string]>([
  ['nothing', ''],
  ['half a document', encodeDocument(document()).slice(0, 60)],
  ['zeros', '\0\0\0\0'],
  ['records that are no list', encodeDocument(document({ records: {} }))],
  ['no records', '{"format":"latchkey-credentials","version":1,"kind":"tokens"}'],
  ['a version that is none', encodeDocument(document({ version: '1' }))],
  ['an account that is none', encodeDocument(document({ account: 7 }))],
  [
    'nesting without end',
    `{"format":"latchkey-credentials","version":1,"x":${'['.repeat(9e4)}${']'.repeat(9e4)}}`,
  ],
])('%s is damaged', (_, text) => {
  expect(codec.decode(text)).toEqual({ state: 'damaged' })
})

test('a later version is told apart, whatever else it holds', () => {
  expect(decode({ format: 'latchkey-credentials', version: 2 })).toEqual({ state: 'newer', version: 2 })
})

test('what a document holds beyond what we know is kept', () => {
  const other = { server_url: 'https://mcp.example.com/b', configured_client_id: null, new_member: { a: 1 } }
  const decoded = decode(
    document({ comment: 'mine', records: [other, 'odd', { ...key.identity, old: true }] }),
  )
  if (decoded.state !== 'ours') throw new Error(decoded.state)
  const changed = withRecord(decoded.document, key, { record: { ...key.identity, new: 1 }, revision: 'r2' })
  expect(changed.comment).toBe('mine')
  expect(changed.records).toEqual([other, 'odd', { ...key.identity, new: 1, revision: 'r2' }])
  expect(withoutRecord(changed, key).records).toEqual([other, 'odd'])
})

test('a member of the identity that is missing, inherited or of another type does not match', () => {
  const found = (record: string) => {
    const text = `{"format":"latchkey-credentials","version":1,"kind":"tokens","server_domain":"mcp.example.com","records":[${record}]}`
    const decoded = codec.decode(text)
    return decoded.state === 'ours' ? findRecord(decoded.document, key) : decoded.state
  }
  expect(found('{"server_url":"https://mcp.example.com/mcp","configured_client_id":null}')).toBeDefined()
  expect(found('{"server_url":"https://mcp.example.com/mcp"}')).toBeUndefined()
  expect(found('{"server_url":"https://mcp.example.com/mcp","configured_client_id":"null"}')).toBeUndefined()
  expect(
    found('{"__proto__":{"server_url":"https://mcp.example.com/mcp","configured_client_id":null}}'),
  ).toBeUndefined()
})
