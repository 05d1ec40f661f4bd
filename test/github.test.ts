import { describe, expect, test } from 'vitest'
import type { LatchkeyError } from '../src/errors/index.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import {
  type GitHubAuthorizationServer,
  type GitHubAuthorizationServerOptions,
  startGitHubAuthorizationServer,
} from './fixtures/github-authorization-server.ts'
import { type McpServerFixture, startMcpServer } from './fixtures/mcp-server.ts'
import { parameters } from './fixtures/request-log.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const opened = closedAfterEach()

const TOKEN = '/login/oauth/access_token'
const CLIENT = { client_id: 'Iv1.fixture', client_secret: 'github-secret' }
const AUTH = { ...CLIENT, scope: 'repo read:user' }

interface Scene {
  github: GitHubAuthorizationServer
  mcp: McpServerFixture
  bench: Workbench
  callback_port: number
  redirectUri: string
}

async function scene(options: GitHubAuthorizationServerOptions = {}): Promise<Scene> {
  const callback_port = await freePort()
  const redirectUri = `http://localhost:${callback_port}/callback`
  const github = await startGitHubAuthorizationServer({
    apps: [{ ...CLIENT, redirect_uri: redirectUri }],
    ...options,
  })
  const mcp = await startMcpServer({
    protect: { kind: 'oauth', authorizationServers: [github.issuer], verify: github.verifyAccessToken },
  })
  const bench = await openWorkbench()
  opened.push(github, mcp, bench)
  return { github, mcp, bench, callback_port, redirectUri }
}

describe('a pre-registered sign-in', () => {
  test.each(['by-accept', 'form', 'json'] as const)('with token answers %s', async (answers) => {
    const { github, mcp, bench, callback_port, redirectUri } = await scene({ answers })
    const status = await bench.login({ name: 'github', url: mcp.url, auth: { ...AUTH, callback_port } })
    expect(status).toMatchObject({
      state: 'signed_in',
      client_kind: 'pre-registered',
      issuer: github.issuer,
      // Granted as `repo,read:user`.
      scope: 'repo read:user',
      redirect_uri: redirectUri,
      refreshable: false,
    })
    expect(status).not.toHaveProperty('expires_at')
    expect(github.requests.lines()).toEqual([
      'GET /.well-known/oauth-authorization-server/login/oauth',
      'GET /login/oauth/authorize',
      `POST ${TOKEN}`,
    ])
    expect(github.requests.to('/login/oauth/authorize')[0]?.query.get('scope')).toBe('repo read:user')
    expect(github.requests.to(TOKEN)[0]?.headers.accept).toBe('application/json')
  })

  test('[REF-02] says that there is no refresh token, at login and in status', async () => {
    const { mcp, bench, callback_port } = await scene()
    const server = { name: 'github', url: mcp.url, auth: { ...AUTH, callback_port } }
    await bench.login(server)
    expect(bench.told('warning')).toEqual([
      {
        type: 'warning',
        server: 'github',
        code: 'no_refresh_token',
        message: expect.stringMatching(/gave no refresh token.*cannot be renewed without you/),
      },
    ])
    expect(bench.told('token_received')).toMatchObject([{ refreshable: false }])
    expect(await bench.latchkey.status(server)).toMatchObject({ state: 'signed_in', refreshable: false })
  })

  test('carries a session and asks nobody to register a client', async () => {
    const { github, mcp, bench, callback_port } = await scene()
    const client = bench.client({ github: { url: mcp.url, auth: { ...AUTH, callback_port } } })
    const session = await client.createSession('github')
    const { content } = await session.callTool('whoami')
    expect(content).toEqual([{ type: 'text', text: 'octocat' }])
    expect(github.requests.filter(({ method }) => method === 'POST').map(({ pathname }) => pathname)).toEqual(
      [TOKEN],
    )
  })
})

describe('errors with HTTP 200', () => {
  test.each(['form', 'json'] as const)('a wrong secret (%s)', async (answers) => {
    const { github, mcp, bench, callback_port } = await scene({ answers })
    const auth = { ...AUTH, client_secret: 'canary-of-yesterday', callback_port }
    const error = await failureOf<LatchkeyError>(bench.login({ url: mcp.url, auth }))
    expect(error).toMatchObject({
      code: 'token_request_refused',
      error: 'incorrect_client_credentials',
      status: 200,
      issuer: github.issuer,
    })
    expect(error.remedy).toMatch(/`client_id` and `client_secret`/)
    expect(`${error.message}${JSON.stringify(error)}`).not.toContain('canary')
    expect(github.requests.to(TOKEN)).toHaveLength(1)
    const page = await bench.lastPage()
    expect(page.status).toBe(400)
    expect(page.html).toContain('Could not sign in')
  })

  test.each(['form', 'json'] as const)('a code that somebody else was faster with (%s)', async (answers) => {
    const { github, mcp, bench, callback_port } = await scene({ answers })
    let stolen = false
    github.intercept = async ({ pathname, body, headers }) => {
      if (pathname !== TOKEN || stolen) return undefined
      stolen = true
      const { authorization = '', 'content-type': type = '' } = headers
      await fetch(github.origin + TOKEN, {
        method: 'POST',
        body,
        headers: { authorization, 'content-type': type },
      })
      return undefined
    }
    const error = await failureOf<LatchkeyError>(
      bench.login({ url: mcp.url, auth: { ...AUTH, callback_port } }),
    )
    expect(error).toMatchObject({
      code: 'token_request_refused',
      error: 'bad_verification_code',
      status: 200,
    })
    expect(error.remedy).toContain('Sign in again')
    expect(github.requests.to(TOKEN)).toHaveLength(2)
  })

  test('a redirect URI that is not the registered one', async () => {
    const { github, mcp, bench, callback_port, redirectUri } = await scene()
    github.intercept = ({ pathname }) =>
      pathname === TOKEN
        ? {
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: 'error=redirect_uri_mismatch&error_description=The+redirect_uri+MUST+match',
          }
        : undefined
    const error = await failureOf<LatchkeyError>(
      bench.login({ url: mcp.url, auth: { ...AUTH, callback_port } }),
    )
    expect(error).toMatchObject({ code: 'redirect_uri_refused', redirectUri, issuer: github.issuer })
    expect(error.remedy).toContain(redirectUri)
    expect(error.remedy).toContain(`\`callback_port\` (now ${callback_port})`)
  })

  test('a callback URL of another program: the person lands there, and the error says what to register', async () => {
    const { github, mcp, bench, callback_port, redirectUri } = await scene()
    const [app] = github.apps
    const url = new URL(app!.redirect_uri)
    url.pathname = '/elsewhere'
    github.apps = [{ ...app!, redirect_uri: url.href }]
    const auth = { ...AUTH, callback_port }
    const error = await failureOf<LatchkeyError>(
      bench.login({ url: mcp.url, auth }, { callbackTimeout: 150 }),
    )
    expect(error.code).toBe('sign_in_timed_out')
    expect(error.remedy).toContain(redirectUri)
    expect(github.requests.to(TOKEN)).toHaveLength(0)
  })
})

test('a token request carries the verifier and the one registered redirect URI', async () => {
  const { github, mcp, bench, callback_port, redirectUri } = await scene()
  await bench.login({ url: mcp.url, auth: { ...AUTH, callback_port } })
  const [request] = github.requests.to(TOKEN)
  expect(parameters(request!)).toMatchObject({
    grant_type: 'authorization_code',
    redirect_uri: redirectUri,
    code_verifier: expect.stringMatching(/^[\w-]{43,}$/),
    resource: mcp.url,
  })
  expect(request?.headers.authorization).toBe(`Basic ${btoa('Iv1.fixture:github-secret')}`)
})

test('[REG-01] without a client_id nothing is registered, and the error says what to create', async () => {
  const { github, mcp, bench, callback_port, redirectUri } = await scene()
  const error = await failureOf<LatchkeyError>(bench.login({ url: mcp.url, auth: { callback_port } }))
  expect(error).toMatchObject({ code: 'registration_unavailable', redirectUri, issuer: github.issuer })
  expect(error.remedy).toMatch(/Create an OAuth client[\s\S]*`auth\.client_id`/)
  expect(github.requests.lines()).toEqual(['GET /.well-known/oauth-authorization-server/login/oauth'])
  expect(bench.browser.opened).toEqual([])
})
