import { describe, expect, test } from 'vitest'
import { systemClock } from '../src/node/clock.ts'
import { closedAfterEach } from './fixtures/closed-after-each.ts'
import { parameters } from './fixtures/request-log.ts'
import {
  type ScriptedAuthorizationServer,
  startScriptedAuthorizationServer,
  tokenError,
} from './fixtures/scripted-authorization-server.ts'
import { failureOf, freePort, openWorkbench, type Workbench } from './fixtures/workbench.ts'

const DOCUMENT = 'https://app.example.com/oauth/client.json'

const opened = closedAfterEach()

async function scene(
  supported: boolean,
): Promise<{ server: ScriptedAuthorizationServer; bench: Workbench; auth: object }> {
  const callback_port = await freePort()
  const redirect_uris = [`http://localhost:${callback_port}/callback`]
  const server = await startScriptedAuthorizationServer({
    mcp: {},
    clients: [{ client_id: DOCUMENT, redirect_uris }],
  })
  server.scripts.metadata = (_request, answer) => ({
    ...answer,
    body: { ...(answer.body as object), client_id_metadata_document_supported: supported },
  })
  const bench = await openWorkbench()
  opened.push(server, bench)
  return { server, bench, auth: { client_metadata_url: DOCUMENT, callback_port } }
}

test('[REG-02] [CIMD-01] the URL of the document is the client id, and nothing is registered', async () => {
  const { server, bench, auth } = await scene(true)
  const status = await bench.login({ url: server.url!, auth })
  expect(status).toMatchObject({ state: 'signed_in', client_kind: 'metadata-document', client_id: DOCUMENT })
  expect(server.requests.to('/register')).toEqual([])
  const [token] = server.requests.to('/token').map(parameters)
  expect(token).toMatchObject({ client_id: DOCUMENT })
  expect(token).not.toHaveProperty('client_secret')
})

test('[REG-02] [CIMD-02] a server that does not read such documents registers the client instead', async () => {
  const { server, bench, auth } = await scene(false)
  expect(await bench.login({ url: server.url!, auth })).toMatchObject({ client_kind: 'dynamic' })
  expect(server.requests.to('/register')).toHaveLength(1)
})

test('a server that does not know the client any more ends the login: the person is asked, not told of a request', async () => {
  const { server, bench, auth } = await scene(true)
  const entry = { name: 'demo', url: server.url!, auth }
  await bench.login(entry)
  const clock = { ...systemClock, now: () => Date.now() + 24 * 60 * 60 * 1000 }
  const later = await openWorkbench({ home: bench.home, clock })
  opened.push(later)
  server.scripts.token = () => ({ ...tokenError('invalid_client', 'gone'), status: 401 })
  expect(await failureOf(later.token(entry))).toMatchObject({ code: 'login_required' })
  expect(await later.latchkey.status(entry)).toMatchObject({ state: 'signed_out' })
})

describe('a server that says it reads such documents, and refuses this one', () => {
  const refusals: [string, (server: ScriptedAuthorizationServer) => void][] = [
    [
      'when the browser comes',
      (server) => {
        server.scripts.authorize = ({ query }, standard) => {
          if (query.get('client_id') !== DOCUMENT) return standard
          const to = new URL(query.get('redirect_uri')!)
          const error = { error: 'invalid_client', state: query.get('state')!, iss: server.issuer }
          to.search = String(new URLSearchParams(error))
          return { status: 302, headers: { location: to.href } }
        }
      },
    ],
    [
      'when the code comes',
      (server) => {
        server.scripts.token = (request, standard) =>
          parameters(request).client_id === DOCUMENT
            ? { ...tokenError('invalid_client', 'not this one'), status: 401 }
            : standard
      },
    ],
  ]
  test.each(refusals)('%s: a client is registered instead, and used from then on', async (_when, refuse) => {
    const { server, bench, auth } = await scene(true)
    refuse(server)
    const entry = { name: 'demo', url: server.url!, auth }
    expect(await bench.login(entry)).toMatchObject({ client_kind: 'dynamic' })
    expect(bench.browser.opened).toHaveLength(2)
    const later = await openWorkbench({ home: bench.home })
    opened.push(later)
    expect(await later.login(entry)).toMatchObject({ client_kind: 'dynamic' })
    expect(later.browser.opened).toHaveLength(1)
    expect(server.requests.to('/register')).toHaveLength(1)
  })

  test('another document is tried all the same', async () => {
    const { server, bench, auth } = await scene(true)
    const [, refuse] = refusals[1]!
    refuse(server)
    await bench.login({ url: server.url!, auth: { ...auth, client_metadata_url: DOCUMENT } })
    const client_metadata_url = `${DOCUMENT}?v=2`
    await failureOf(
      bench.login({ url: server.url!, auth: { ...auth, client_metadata_url } }, { callbackTimeout: 400 }),
    )
    const asked = server.requests.to('/authorize').map(({ query }) => query.get('client_id'))
    expect(asked.at(-1)).toBe(client_metadata_url)
  })
})
