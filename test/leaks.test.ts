import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, test } from 'vitest'
import { basicAuth, headers } from '../src/config/custom-auth.ts'
import { renderEvent } from '../src/event-lines.ts'
import type { LatchkeyEvent } from '../src/events.ts'
import type { LatchkeyOptions } from '../src/options.ts'
import { Canaries, type Places, visible } from './fixtures/canaries.ts'
import { carried, SPELLINGS } from './fixtures/echo.ts'
import type { Answer } from './fixtures/loopback-server.ts'
import type { RecordedRequest } from './fixtures/request-log.ts'
import {
  type Endpoint,
  type Script,
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { changeStoredLogins, expired, storedLogins } from './fixtures/stored-logins.ts'
import { openWorkbench, type Workbench } from './fixtures/workbench.ts'

// Servers that repeat what they were sent, in every place where a server can say something, at every stage of a login. All
// that a program can see of it afterwards is searched for pieces of the secrets.

const opened: { close(): Promise<void> }[] = []
const published: unknown[] = []
const listen = (message: unknown) => void published.push(message)
afterEach(async () => {
  unsubscribe('latchkey', listen)
  published.length = 0
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

/** A login whose every secret is known, at servers that behave until `hostile` says otherwise. */
interface Scene {
  readonly canaries: Canaries
  readonly as: ScriptedAuthorizationServer
  readonly own: Workbench
  readonly server: { name: string; url: string; headers: Record<string, string>; auth?: object }
  hostile: Partial<Record<Endpoint, Script>>
  /** Everything that came out, beside what is passed. */
  leaks(seen?: Record<string, unknown>): string
}

async function scene({ dpop = false, options = {} as LatchkeyOptions } = {}): Promise<Scene> {
  const canaries = new Canaries()
  const watch =
    (endpoint: Endpoint): Script =>
    async (request, answer) => {
      canaries.ofAnswer(answer)
      return made.hostile[endpoint]?.(request, answer)
    }
  const client = { client_id: 'app-1', client_secret: canaries.make('client secret') }
  const as = await startScriptedAuthorizationServer({
    mcp: {},
    clients: [{ ...client, redirect_uris: ['http://localhost:8080/callback'] }],
    intercept: (request) => void canaries.ofRequest(request),
    scripts: {
      token: watch('token'),
      authorize: watch('authorize'),
      registration: watch('registration'),
      revocation: watch('revocation'),
      mcp: (request, answer) => made.hostile.mcp?.(request, answer),
    },
  })
  const own = await openWorkbench({ options })
  opened.push(as, own)
  subscribe('latchkey', listen)
  const made: Scene = {
    canaries,
    as,
    own,
    server: {
      name: 'demo',
      url: as.url,
      headers: { 'X-Api-Key': canaries.make('configured header') },
      ...(dpop && { auth: { dpop } }),
    },
    hostile: {},
    leaks: (seen = {}) => {
      const visible = allVisible({ ...seen, published: published.map(unshown) })
      return canaries.leaksIn({ ...said(own.events), ...visible }).join('\n')
    },
  }
  return made
}

/** Of the one event that the person needs a secret of: the URL is there for nothing else. */
function unshown(event: unknown): unknown {
  const { type } = event as LatchkeyEvent
  return type === 'authorization_started' ? { ...(event as object), authorization_url: '' } : event
}

function said(events: readonly LatchkeyEvent[]): Places {
  return {
    'debug lines': events.map(renderEvent).join('\n'),
    events: JSON.stringify(events.map(unshown)),
  }
}

function allVisible(things: Record<string, unknown>): Places {
  return Object.assign({}, ...Object.entries(things).map(([name, value]) => visible(name, value)))
}

/** The outcome, as a program has it: what was returned, or the error. A response is the server's own. */
async function outcome(work: Promise<unknown>): Promise<Record<string, unknown>> {
  return work.then(
    (value) => (value instanceof Response ? {} : { value }),
    (error: unknown) => ({ error }),
  )
}

type Repeat = (request: RecordedRequest, echo: string, origin: string) => Answer

const TOKEN_ANSWERS: Record<string, Repeat> = {
  'an error description': (_, echo) => tokenError('invalid_grant', `You sent ${echo}`),
  'an error code': (_, echo) => tokenError(echo, 'no'),
  'a refused scope': (_, echo) => tokenError('invalid_scope', echo),
  'a refused client': (_, echo) => ({
    status: 401,
    headers: { 'www-authenticate': `Basic realm="${echo}", error="${echo}"` },
    body: { error: 'invalid_client', error_description: echo, error_uri: `https://as.example/${echo}` },
  }),
  'an error page': (_, echo) => ({
    status: 400,
    headers: { 'content-type': 'text/html' },
    body: `<p>${echo}</p>`,
  }),
  'an answer that is none': (_, echo) => ({ body: { said: echo } }),
  'an answer that breaks off': (_, echo) => ({ body: { said: echo }, destroy: true }),
  'broken JSON': (_, echo) => ({
    headers: { 'content-type': 'application/json' },
    body: `{"access_token": ${echo}`,
  }),
  'the place of a redirect': (_, echo, origin) => ({
    status: 307,
    headers: { location: `${origin}/${encodeURIComponent(echo)}?x=${encodeURIComponent(echo)}` },
  }),
  'a scope': (_, echo) => ({
    body: { access_token: 'a-token-of-no-worth', token_type: 'Bearer', scope: echo },
  }),
  'the type of a token': (_, echo) => ({ body: { access_token: 'a-token-of-no-worth', token_type: echo } }),
}

describe.each(Object.entries(SPELLINGS))('a token endpoint that repeats its request %s', (_title, spell) => {
  const repeating =
    (answer: Repeat, origin: string): Script =>
    (request) =>
      answer(request, spell(carried(request).join(' ')), origin)

  test.each(Object.entries(TOKEN_ANSWERS))('in %s of a sign-in', async (_name, answer) => {
    const { own, server, as, ...at } = await scene()
    Object.assign(at.hostile, { token: repeating(answer, as.origin) })
    const seen = await outcome(own.login(server))
    expect(at.leaks(seen)).toBe('')
    expect(at.canaries.names).toEqual(expect.arrayContaining(['code', 'code_verifier', 'state']))
  })

  test.each(Object.entries(TOKEN_ANSWERS))('in %s of a renewal', async (_name, answer) => {
    const { own, server, as, ...at } = await scene()
    await own.login(server)
    await changeStoredLogins(own.home, expired)
    Object.assign(at.hostile, { token: repeating(answer, as.origin) })
    const later = await openWorkbench({ home: own.home })
    opened.push(later)
    const fetch = later.latchkey.authorizedFetch(server, { onEvent: (event) => own.events.push(event) })
    const seen = await outcome(fetch(server.url, { method: 'POST', body: '{}' }))
    expect(at.leaks(seen)).toBe('')
    expect(at.canaries.names).toEqual(expect.arrayContaining(['refresh_token', 'access_token']))
  })
})

const JSON_RPC = (request: RecordedRequest) =>
  (JSON.parse(request.body || '{}') as { id?: number }).id ?? null

const MCP_ANSWERS: Record<string, Repeat> = {
  'the parameters of a challenge': (_, echo) => ({
    status: 401,
    headers: {
      'www-authenticate': `Bearer error="${quoted(echo)}", scope="${quoted(echo)}", realm="${quoted(echo)}"`,
    },
  }),
  'the address of its metadata': (_, echo, origin) => ({
    status: 401,
    headers: { 'www-authenticate': `Bearer resource_metadata="${origin}/${encodeURIComponent(echo)}"` },
  }),
  'the scheme of a challenge': (_, echo) => ({
    status: 401,
    headers: { 'www-authenticate': echo.replaceAll(/[^\w-]/g, '-') },
  }),
  'a scope that is missing': (_, echo) => ({
    status: 403,
    headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${quoted(echo)}"` },
  }),
  'a refusal without a challenge': (_, echo) => ({ status: 403, body: `You sent ${echo}` }),
  'a bad request': (_, echo) => ({ status: 400, body: `You sent ${echo}` }),
  'a bad request of JSON-RPC': (request, echo) => ({
    status: 400,
    body: { jsonrpc: '2.0', id: JSON_RPC(request), error: { code: -32600, message: echo, data: { echo } } },
  }),
  'an error page': (_, echo) => ({
    status: 500,
    headers: { 'content-type': 'text/html' },
    body: `<p>${echo}</p>`,
  }),
  'an answer that is none': (_, echo) => ({ body: { said: echo } }),
  'an answer of no known type': (_, echo) => ({ headers: { 'content-type': 'text/plain' }, body: echo }),
  'broken JSON': (_, echo) => ({
    headers: { 'content-type': 'application/json' },
    body: `{"jsonrpc": ${echo}`,
  }),
  'an answer that breaks off': (_, echo) => ({
    headers: { 'content-type': 'application/json' },
    body: echo,
    destroy: true,
  }),
  'an error of JSON-RPC': (request, echo) => ({
    body: {
      jsonrpc: '2.0',
      id: JSON_RPC(request),
      error: { code: -32000, message: `You sent ${echo}`, data: { echo } },
    },
  }),
  'an error of JSON-RPC in a stream': (request, echo) => ({
    headers: { 'content-type': 'text/event-stream' },
    body: `data: ${JSON.stringify({ jsonrpc: '2.0', id: JSON_RPC(request), error: { code: -32000, message: echo } })}\n\n`,
  }),
  'an error of JSON-RPC, behind more than anybody looks at': (request, echo) => ({
    body: {
      jsonrpc: '2.0',
      id: JSON_RPC(request),
      error: {
        code: -32000,
        message: `${'x'.repeat(70_000)} ${echo}`,
        data: { padded: 'x'.repeat(70_000), echo },
      },
    },
  }),
  'a member that JSON-RPC does not have': (request, echo) => ({
    body: { jsonrpc: '2.0', id: JSON_RPC(request), result: {}, [echo]: {} },
  }),
  'a stream that is none': (_, echo) => ({
    headers: { 'content-type': 'text/event-stream' },
    body: `data: ${echo}\n\n`,
  }),
  'the place of a redirect': (_, echo, origin) => ({
    status: 307,
    headers: { location: `${origin}/mcp/${encodeURIComponent(echo)}` },
  }),
  'the place of a redirect to elsewhere': (_, echo) => ({
    status: 307,
    headers: { location: `http://127.0.0.1:9/${encodeURIComponent(echo)}` },
  }),
}

/** In the words of a header. */
function quoted(text: string): string {
  return text.replaceAll(/["\\]/g, (character) => `\\${character}`)
}

const STATIC_AUTH = (canaries: Canaries): Record<string, object> => ({
  'a bearer token': { auth: canaries.make('bearer token') },
  'a user and a password': { auth: basicAuth('someone', canaries.make('password')) },
  'headers of its own': { auth: headers({ 'X-Api-Key': canaries.make('custom header') }) },
  'configured headers': { headers: { Authorization: `Token ${canaries.make('configured authorization')}` } },
})

describe.each(Object.entries(SPELLINGS))('an MCP server that repeats its request %s', (_title, spell) => {
  const repeating =
    (answer: Repeat, origin: string): Script =>
    (request) =>
      answer(request, spell(carried(request).join(' ')), origin)

  test.each(Object.entries(MCP_ANSWERS))('in %s: with a login', async (_name, answer) => {
    const { own, server, as, ...at } = await scene({ options: { interactive: 'never' } })
    await own.login(server, { interactive: 'always' })
    const { name, ...settings } = server
    const limited = { [name]: { ...settings, timeout: 2000 } }
    const session = await own.client(limited).createSession(name)
    const hostile = repeating(answer, as.origin)
    // Whoever carries no login is answered as ever: discovery is another matter.
    at.hostile.mcp = (request, given) => (request.headers.authorization ? hostile(request, given) : undefined)
    const seen = {
      call: await outcome(session.callTool('whoami')),
      connect: await outcome(own.client(limited).createSession(name)),
      fetch: await outcome(own.latchkey.authorizedFetch(server)(server.url, { method: 'POST', body: '{}' })),
    }
    expect(at.leaks(seen)).toBe('')
    expect(at.canaries.names).toEqual(expect.arrayContaining(['access_token', 'configured header']))
  })

  test.each(Object.entries(MCP_ANSWERS))(
    'in %s: with a credential of the configuration',
    async (_name, answer) => {
      const { own, as, ...at } = await scene()
      at.hostile.mcp = repeating(answer, as.origin)
      for (const [method, settings] of Object.entries(STATIC_AUTH(at.canaries))) {
        const server = { url: as.url, timeout: 2000, ...settings }
        const seen = {
          [`connect (${method})`]: await outcome(own.client({ demo: server }).createSession('demo')),
          [`fetch (${method})`]: await outcome(
            own.latchkey.authorizedFetch({ name: 'demo', ...server })(as.url, { method: 'POST', body: '{}' }),
          ),
        }
        expect(at.leaks(seen)).toBe('')
      }
    },
  )
})

test.each([
  ['iss', (state: string) => ({ iss: `https://as.example/${state}`, code: 'a-code' })],
  ['error', (state: string) => ({ error: state })],
  ['error_description', (state: string) => ({ error: 'access_denied', error_description: btoa(state) })],
])('an authorization response that repeats its request in %s', async (_name, answer) => {
  const { own, server, ...at } = await scene()
  at.hostile.authorize = ({ query }, given) => {
    const { location } = (given as { headers: { location: string } }).headers
    const state = query.get('state')!
    const parameters = { state, iss: new URL(location).searchParams.get('iss')!, ...answer(state) }
    const to = `${location.split('?')[0]}?${new URLSearchParams(parameters)}`
    return { status: 302, headers: { location: to } }
  }
  const seen = await outcome(own.login(server))
  expect(seen).toHaveProperty('error')
  expect(at.leaks(seen)).toBe('')
})

test('proofs of possession and the key that makes them', async () => {
  const { own, server, as, ...at } = await scene({ dpop: true })
  at.hostile.token = (request, { body }) => ({
    body: { ...(body as object), token_type: 'DPoP', scope: request.headers.dpop },
  })
  const signedIn = await outcome(own.login(server))
  const [stored] = await storedLogins(own.home)
  at.canaries.add('DPoP key', (stored!.record.dpop_key as { d: string }).d)
  at.hostile.mcp = (request) => ({ status: 400, body: `You sent ${carried(request).join(' ')}` })
  const seen = {
    signedIn,
    connect: await outcome(own.client({ demo: server }).createSession('demo')),
    status: await outcome(own.latchkey.status(server)),
  }
  expect(at.leaks(seen)).toBe('')
  expect(at.canaries.names).toEqual(expect.arrayContaining(['DPoP proof', 'DPoP key', 'access_token']))
})
