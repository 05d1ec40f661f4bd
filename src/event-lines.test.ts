import { expect, test } from 'vitest'
import { renderEvent } from './event-lines.ts'
import type { LatchkeyEvent } from './events.ts'

test('a request shows stage, method, URL, status, content type and time', () => {
  const line = renderEvent({
    type: 'http_exchange',
    server: 'demo',
    stage: 'discovery',
    method: 'GET',
    url: 'https://as.example/.well-known/oauth-authorization-server',
    status: 200,
    content_type: 'application/json; charset=utf-8',
    duration: 12,
    attempt: 2,
  })
  expect(line).toBe(
    'latchkey demo: discovery     GET https://as.example/.well-known/oauth-authorization-server -> 200 application/json, 12 ms (try 2)',
  )
})

test('a request without an answer says why', () => {
  const line = renderEvent({
    type: 'http_exchange',
    server: 'demo',
    stage: 'token',
    method: 'POST',
    url: 'https://as.example/token',
    failure: 'ECONNREFUSED',
    duration: 3,
    attempt: 1,
  })
  expect(line).toBe('latchkey demo: token         POST https://as.example/token -> ECONNREFUSED, 3 ms')
})

test('of the authorization URL no value is shown that belongs to this one sign-in, nor one we do not know', () => {
  const parameters = {
    response_type: 'code',
    client_id: 'id',
    redirect_uri: 'http://localhost:8080/callback',
    scope: 'a b',
    state: 'STATE-STATE',
    code_challenge: 'CHALLENGE',
    code_challenge_method: 'S256',
    resource: 'https://mcp.example/mcp',
    login_hint: 'alice@example.com',
  }
  const line = renderEvent({
    type: 'authorization_started',
    server: 'demo',
    server_host: 'mcp.example',
    issuer: 'https://as.example',
    authorization_host: 'as.example',
    redirect_uri: parameters.redirect_uri,
    client_kind: 'dynamic',
    authorization_url: `https://as.example/authorize?${new URLSearchParams(parameters)}`,
    start_url: 'http://localhost:8080/start/STARTSTART',
    deadline: 0,
  })
  expect(line).toContain(
    'https://as.example/authorize?response_type=code&client_id=id&redirect_uri=http://localhost:8080/callback&scope=a+b&state=…&code_challenge=…&code_challenge_method=S256&resource=https://mcp.example/mcp&login_hint=…',
  )
  expect(line).not.toMatch(/STATE|CHALLENGE|START|alice/)
})

/** What could hide text, forge a line or steer a terminal. */
const HOSTILE = 'a\u001b]8;;https://evil\u0007b\r\nc\u009b8md\u202ee'

test('S22: whatever a server chose arrives as one line without control characters', () => {
  const server = HOSTILE
  const url = HOSTILE
  const events: LatchkeyEvent[] = [
    {
      type: 'http_exchange',
      server,
      stage: 'mcp',
      method: 'GET',
      url,
      status: 200,
      content_type: HOSTILE,
      duration: 1,
      attempt: 1,
    },
    {
      type: 'http_exchange',
      server,
      stage: 'mcp',
      method: 'GET',
      url,
      failure: HOSTILE,
      duration: 1,
      attempt: 1,
    },
    {
      type: 'challenge_received',
      server,
      status: 401,
      scheme: HOSTILE,
      scope: HOSTILE,
      error: HOSTILE,
      resource_metadata: HOSTILE,
    },
    { type: 'challenge_ignored', server, resource_metadata: HOSTILE, reason: HOSTILE },
    {
      type: 'resource_metadata_found',
      server,
      url,
      resource: HOSTILE,
      authorization_servers: [HOSTILE],
      scopes_supported: [HOSTILE],
    },
    {
      type: 'server_metadata_found',
      server,
      issuer: HOSTILE,
      source: HOSTILE,
      authorization_endpoint: HOSTILE,
      token_endpoint: HOSTILE,
    },
    {
      type: 'client_selected',
      server,
      kind: 'dynamic',
      client_id: HOSTILE,
      issuer: HOSTILE,
      redirect_uri: HOSTILE,
    },
    { type: 'browser_failed', server, reason: HOSTILE },
    { type: 'authorization_responded', server, error: HOSTILE },
    { type: 'token_received', server, grant: 'authorization_code', scope: HOSTILE, refreshable: true },
    { type: 'credentials_saved', server, location: HOSTILE },
    { type: 'connected', server, transport: 'sse', protocol_version: HOSTILE },
    { type: 'warning', server, code: 'not_revoked', message: HOSTILE },
  ]
  for (const event of events)
    expect(renderEvent(event)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
})
