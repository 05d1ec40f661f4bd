import { describe, expect, test } from 'vitest'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import type { OAuthSettings } from '../definitions.ts'
import { RegistrationUnavailableError } from '../errors/index.ts'
import type { LatchkeyEvent } from '../events.ts'
import type { FlowContext } from './context.ts'
import { obtainClient } from './obtain-client.ts'
import type { ClientRegistration } from './token-set.ts'

const REDIRECT_URI = 'http://localhost:8080/callback'

/** Obtains a client at an issuer whose registration endpoint, if it has one, gives out `fresh`. */
async function obtain(
  issuer: string,
  {
    settings = {},
    registrations = [],
    endpoint,
  }: { settings?: OAuthSettings; registrations?: ClientRegistration[]; endpoint?: string } = {},
) {
  const requests: string[] = []
  const events: LatchkeyEvent[] = []
  const clock = createManualClock()
  const context: FlowContext = {
    server: 'demo',
    clientName: 'test',
    loginCommand: 'latchkey login demo',
    clock,
    emit: (event) => void events.push(event),
    judgeUrl: (url) => new URL(url),
    judgePage: async (url) => new URL(url),
    fetch: () => async (url) => {
      requests.push(String(url))
      return new Response('{"client_id":"fresh"}', { status: 201 })
    },
  }
  const metadata = {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    ...(endpoint && { registration_endpoint: endpoint }),
  }
  const discovery = {
    metadata,
    resource: undefined,
    scopesSupported: undefined,
    source: 'resource metadata',
    attempts: [],
  } as const
  const request = { serverUrl: 'https://mcp.example/mcp', settings, discovery, challenge: undefined }
  const outcome = obtainClient(
    { ...request, redirectUri: REDIRECT_URI, scope: undefined, registrations },
    context,
  )
  return { outcome, requests, events, now: clock.now() / 1000 }
}

function registration(more: Partial<ClientRegistration> = {}): ClientRegistration {
  return {
    client_id: 'stored',
    token_endpoint_auth_method: 'none',
    issuer: 'https://as.example',
    redirect_uri: REDIRECT_URI,
    created_at: 1,
    ...more,
  }
}

describe('no client and no registration endpoint', () => {
  async function refusal(issuer: string): Promise<RegistrationUnavailableError> {
    const { outcome, requests } = await obtain(issuer)
    const error: unknown = await outcome.catch((reason: unknown) => reason)
    expect(requests).toEqual([])
    if (error instanceof RegistrationUnavailableError) return error
    throw error
  }

  test('[REG-04] says what to create and which keys to set', async () => {
    const error = await refusal('https://as.example/tenant')
    expect(error).toMatchObject({
      code: 'registration_unavailable',
      issuer: 'https://as.example/tenant',
      redirectUri: REDIRECT_URI,
    })
    expect(error.summary).toContain('as.example does not register clients by itself')
    expect(error.remedy).toContain(`with exactly this redirect URI: ${REDIRECT_URI}`)
    expect(error.remedy).toMatch(/`auth\.client_id`.*`auth\.client_secret`.*`auth\.scope`/)
  })

  test('says it in the words of GitHub for GitHub', async () => {
    const { remedy } = await refusal('https://github.com/login/oauth')
    expect(remedy).toContain('OAuth App')
    expect(remedy).toContain('homepage http://localhost:8080,')
    expect(remedy).toContain(`authorization callback URL ${REDIRECT_URI}`)
    expect(remedy).toContain('`auth.scope: "repo read:user"`')
  })
})

describe('which client', () => {
  const endpoint = 'https://as.example/register'

  test('[REG-02] the configured one, and nobody is asked', async () => {
    const { outcome, requests } = await obtain('https://as.example', {
      endpoint,
      settings: { client_id: 'mine', client_secret: 's' },
      registrations: [registration()],
    })
    expect(await outcome).toEqual({
      kind: 'pre-registered',
      client: { client_id: 'mine', client_secret: 's', token_endpoint_auth_method: 'client_secret_basic' },
    })
    expect(requests).toEqual([])
  })

  test('[REG-02] else the stored one', async () => {
    const { outcome, requests, events } = await obtain('https://as.example', {
      endpoint,
      registrations: [registration()],
    })
    expect(await outcome).toMatchObject({ kind: 'dynamic', client: { client_id: 'stored' } })
    expect(requests).toEqual([])
    expect(events).toMatchObject([{ type: 'client_selected', kind: 'dynamic', client_id: 'stored' }])
  })

  test.each<[string, Partial<ClientRegistration>]>([
    ['[BIND-01] is of another issuer', { issuer: 'https://as.example/' }],
    ['has another redirect URI', { redirect_uri: 'http://localhost:8081/callback' }],
    [
      'has a secret that was stored with another token endpoint',
      { client_secret: 's', token_endpoint: 'https://as.example/other' },
    ],
    ['[REG-11] has a secret that expired', { client_secret: 's', client_secret_expires_at: 5 }],
  ])('but a new one where the stored one %s', async (_what, more) => {
    const { outcome, requests, now } = await obtain('https://as.example', {
      endpoint,
      registrations: [registration(more)],
    })
    expect(await outcome).toMatchObject({
      kind: 'dynamic',
      registration: { client_id: 'fresh', redirect_uri: REDIRECT_URI, created_at: now },
    })
    expect(requests).toEqual([endpoint])
  })
})
