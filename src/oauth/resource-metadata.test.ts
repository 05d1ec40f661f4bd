import { describe, expect, test } from 'vitest'
import { ResourceMismatchError } from '../errors/index.ts'
import { readAnswer } from './answer.ts'
import { assertResourceCovers, processResourceMetadata, resourceMetadataUrls } from './resource-metadata.ts'

async function judge(document: unknown, status = 200) {
  return processResourceMetadata(
    await readAnswer(new Response(JSON.stringify(document), { status }), 'https://h/prm'),
  )
}

test.each([
  [
    'https://h/a/mcp',
    [
      'https://h/.well-known/oauth-protected-resource/a/mcp',
      'https://h/.well-known/oauth-protected-resource',
    ],
  ],
  [
    'https://h/mcp/',
    ['https://h/.well-known/oauth-protected-resource/mcp', 'https://h/.well-known/oauth-protected-resource'],
  ],
  ['https://h/', ['https://h/.well-known/oauth-protected-resource']],
  ['https://h:8443', ['https://h:8443/.well-known/oauth-protected-resource']],
])('[DISC-03] metadata of %s may be at', (url, urls) => {
  expect(resourceMetadataUrls(url)).toEqual(urls)
})

describe('judging a document', () => {
  test('[RES-05] keeps the resource verbatim', async () => {
    const document = {
      resource: 'https://H/mcp/',
      authorization_servers: ['https://as', 'not a url', 7, null],
      scopes_supported: ['a'],
      resource_name: 'Mine',
      jwks_uri: null,
    }
    expect(await judge(document)).toEqual({
      resource: 'https://H/mcp/',
      authorization_servers: ['https://as'],
      scopes_supported: ['a'],
      resource_name: 'Mine',
    })
  })

  test('[SCOPE-07] an empty list of scopes says nothing', async () => {
    expect(await judge({ resource: 'https://h', scopes_supported: [] })).toEqual({
      resource: 'https://h',
      authorization_servers: [],
    })
  })

  test.each([
    ['a 404', { resource: 'https://h' }, 404],
    ['no resource', { authorization_servers: ['https://as'] }, 200],
    ['a resource that is no URL', { resource: 'mcp' }, 200],
    ['a list', [{ resource: 'https://h' }], 200],
  ])('%s is no such document', async (_what, document, status) => {
    expect(await judge(document, status)).toBeUndefined()
  })
})

describe('which resource covers https://h/mcp', () => {
  test.each(['https://h', 'https://h/', 'https://h/mcp', 'https://h/mcp/', 'https://H:443/mcp'])(
    '[DISC-06] %s',
    (resource) => {
      expect(() => assertResourceCovers(resource, 'https://h/mcp')).not.toThrow()
    },
  )

  test.each([
    'https://other/mcp',
    'https://h.evil/mcp',
    'https://h/mcp2',
    'https://h/mcp/deeper',
    'http://h/mcp',
    'https://h:8443/mcp',
    'https://user@h/mcp',
    'https://h/mcp#fragment',
  ])('[DISC-05] not %s', (resource) => {
    expect(() => assertResourceCovers(resource, 'https://h/mcp')).toThrow(ResourceMismatchError)
  })
})
