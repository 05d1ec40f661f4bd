import { expect, test } from 'vitest'
import type { ServerMetadata } from '../oauth/server-metadata.ts'
import { newTokenSet } from './token-set.ts'

const metadata: ServerMetadata = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
}

function stored(scope: string | undefined) {
  const client = { client_id: 'app', token_endpoint_auth_method: 'none' } as const
  const token = { access_token: 'at', token_type: 'bearer', ...(scope && { scope }) } as const
  const discovery = { metadata, resource: undefined }
  return newTokenSet(
    { discovery, client: { client, kind: 'dynamic' }, requested: 'read write', token },
    { clock: { now: () => 0 } as never },
  )
}

test('[SCOPE-09] an answer without scope was given what was asked for', () => {
  expect(stored(undefined)).toMatchObject({ scope: 'read write', requested_scope: 'read write' })
})

test('a narrower scope is kept beside what was asked for, for the next step-up', () => {
  expect(stored('read')).toMatchObject({ scope: 'read', requested_scope: 'read write' })
})
