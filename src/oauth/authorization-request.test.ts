import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createAuthorizationRequest } from './authorization-request.ts'

const METADATA = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize?tenant=a&state=theirs#fragment',
  token_endpoint: 'https://as.example/token',
}
const PARAMETERS = {
  clientId: 'app',
  redirectUri: 'http://localhost:8080/callback',
  scope: 'a b',
  resource: 'https://mcp.example/mcp',
}

test('[PKCE-01] [ISS-01] carries PKCE S256, state and resource, and keeps what the endpoint has of its own', async () => {
  const request = await createAuthorizationRequest(METADATA, { ...PARAMETERS, prompt: 'login consent' })
  const { searchParams, hash } = new URL(request.url)
  expect(Object.fromEntries(searchParams)).toEqual({
    tenant: 'a',
    response_type: 'code',
    client_id: 'app',
    redirect_uri: 'http://localhost:8080/callback',
    scope: 'a b',
    state: request.state,
    code_challenge: createHash('sha256').update(request.codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
    resource: 'https://mcp.example/mcp',
    prompt: 'login consent',
  })
  expect(hash).toBe('')
  expect(request.issuer).toBe('https://as.example')
})

test('leaves out scope, resource and prompt that nobody asked for', async () => {
  const { url } = await createAuthorizationRequest(METADATA, {
    ...PARAMETERS,
    scope: undefined,
    resource: undefined,
  })
  const names = [...new URL(url).searchParams.keys()]
  expect(names).not.toContain('scope')
  expect(names).not.toContain('resource')
  expect(names).not.toContain('prompt')
})

test('[PKCE-02] [STATE-01] two requests share neither state nor verifier', async () => {
  const [a, b] = [
    await createAuthorizationRequest(METADATA, PARAMETERS),
    await createAuthorizationRequest(METADATA, PARAMETERS),
  ]
  expect(a.state).not.toBe(b.state)
  expect(a.codeVerifier).not.toBe(b.codeVerifier)
  expect(a.state.length).toBeGreaterThanOrEqual(43)
})

test('names the key that the code is to be bound to (RFC 9449 §10)', async () => {
  const { url } = await createAuthorizationRequest(METADATA, { ...PARAMETERS, dpopJkt: 'thumbprint' })
  expect(new URL(url).searchParams.get('dpop_jkt')).toBe('thumbprint')
})
