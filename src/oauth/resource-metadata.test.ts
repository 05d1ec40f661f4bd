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

  test('an issuer that reads like somebody else, or has a query or fragment, is left out', async () => {
    const authorization_servers = [
      'https://accounts.example@evil.example',
      'https://@evil.example',
      'https://:secret@evil.example',
      'https://accounts.example%2Foauth2%2F@evil.example',
      'https://evil.example?issuer=https://accounts.example',
      'https://evil.example/?',
      'https://evil.example#https://accounts.example',
      'https://evil.example/#',
      ' https://evil.example',
      'https://evil.example/a b',
      'https://ev\til.example',
      'https://evil.example\\@accounts.example',
      'https:\\\\evil.example',
      'https:evil.example',
      'https://evil.example/\u202eelpmaxe.stnuocca',
      'https://evil.example/\ud800',
      'blob:https://evil.example',
      'javascript:alert(1)',
    ]
    const fit = ['https://as', 'https://AS:443/', 'http://127.0.0.1:8080/tenant', 'https://as/@tenant/v2.0']
    const document = { resource: 'https://h', authorization_servers: [...authorization_servers, ...fit] }
    expect((await judge(document))?.authorization_servers).toEqual(fit)
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
    'https://:password@h/mcp',
    'https://@h/mcp',
    'https://h/mcp#fragment',
    'https://h/mcp#',
    'https://h\\@victim.example/../mcp',
    'https://h/mcp\\',
    ' https://h/mcp',
    'https://h/m\ncp',
  ])('[DISC-05] not %s', (resource) => {
    expect(() => assertResourceCovers(resource, 'https://h/mcp')).toThrow(ResourceMismatchError)
  })
})
