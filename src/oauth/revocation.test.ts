import { expect, test } from 'vitest'
import { processRevocation, requestRevocation } from './revocation.ts'

const ENDPOINT = { issuer: 'https://as.example', revocation_endpoint: 'https://as.example/revoke' }

async function revoke(body: string, status: number) {
  const sent: Request[] = []
  const answer = await requestRevocation(
    ENDPOINT,
    { client_id: 'app', client_secret: 's', token_endpoint_auth_method: 'client_secret_post' },
    'rt',
    'refresh_token',
    {
      fetch: async (url, init) => {
        sent.push(new Request(url, init))
        return new Response(body, { status })
      },
    },
  )
  return { sent, gone: processRevocation(answer) }
}

test('[REF-13] names the token and its kind, as the client it was given to', async () => {
  const { sent, gone } = await revoke('', 200)
  expect(gone).toBe(true)
  expect(sent[0]?.url).toBe(ENDPOINT.revocation_endpoint)
  expect(Object.fromEntries(new URLSearchParams(await sent[0]?.text()))).toEqual({
    token: 'rt',
    token_type_hint: 'refresh_token',
    client_id: 'app',
    client_secret: 's',
  })
})

test.each([
  ['{"error":"unsupported_token_type"}', 400],
  ['{"error":"invalid_client"}', 200],
  ['<html>', 503],
])('is not done when the answer is %s with %i', async (body, status) => {
  expect((await revoke(body, status)).gone).toBe(false)
})
