import { expect, test } from 'vitest'
import { failureOf } from '../../test/fixtures/workbench.ts'
import type { HttpServerDefinition } from '../definitions.ts'
import { LoginRequiredError, NetworkFailedError } from '../errors/index.ts'
import { EchoFilter } from './echoes.ts'
import { isSessionForgotten, type Observation, observedFetch, type TransportState } from './observed-fetch.ts'

const url = 'https://mcp.example.com/mcp'
const definition = { name: 'demo', url } as HttpServerDefinition
const loginRequired = new LoginRequiredError({ message: 'Sign in.', server: 'demo' })
const networkFailed = new NetworkFailedError({ message: 'No answer.', url })

function observe(kind: Observation['kind'], outcome: Response | Error, now: TransportState['now'] = 'open') {
  let losses = 0
  const onLost = () => {
    losses += 1
  }
  const state: TransportState = { now, pending: new Set(), echoes: new EchoFilter(), onLost }
  const fetch = observedFetch(
    async () => {
      if (outcome instanceof Error) throw outcome
      return outcome
    },
    { kind, state, definition },
  )
  return { fetch, state, losses: () => losses }
}
const post = { method: 'POST' }
const postInSession = { method: 'POST', headers: { 'Mcp-Session-Id': 'one' } }

test('an event stream that needs a sign-in is told to stop asking (204), and is lost', async () => {
  const { fetch, state, losses } = observe('sse', loginRequired)
  expect((await fetch(url)).status).toBe(204)
  expect(state).toMatchObject({ now: 'lost', failure: loginRequired })
  expect(losses()).toBe(1)
})

test('an event stream that was never open is not lost, but its error is kept', async () => {
  const { fetch, state, losses } = observe('sse', loginRequired, 'connecting')
  await fetch(url)
  expect(state).toMatchObject({ now: 'connecting', failure: loginRequired })
  expect(losses()).toBe(0)
})

test('an event stream without network is asked for again by itself: not lost', async () => {
  const { fetch, state } = observe('sse', networkFailed)
  expect(await failureOf(fetch(url))).toBe(networkFailed)
  expect(state.now).toBe('open')
})

test('a request that needs a sign-in does not lose the stream beside it', async () => {
  const { fetch, state } = observe('sse', loginRequired)
  expect(await failureOf(fetch(url, post))).toBe(loginRequired)
  expect(state.now).toBe('open')
})

test('404 to a request of a session means the session is forgotten, and the request can be repeated', async () => {
  for (const [kind, init] of [
    ['streamable-http', postInSession],
    ['sse', post],
  ] as const) {
    const { fetch, state, losses } = observe(kind, new Response('gone', { status: 404 }))
    const error = await failureOf(fetch(url, init))
    expect(error).toMatchObject({ code: 'connect_failed' })
    expect(isSessionForgotten(error)).toBe(true)
    expect(state.now).toBe('lost')
    // Others in flight are to be refused in the same way, not cut off.
    expect(losses()).toBe(0)
  }
})

test('404 says nothing of a session where there is none, or while connecting', async () => {
  const sessionless = observe('streamable-http', new Response(null, { status: 404 }))
  expect((await sessionless.fetch(url, post)).status).toBe(404)
  const connecting = observe('sse', new Response(null, { status: 404 }), 'connecting')
  expect((await connecting.fetch(url, post)).status).toBe(404)
  expect(isSessionForgotten(networkFailed)).toBe(false)
})

test('requests without an answer are known', async () => {
  const { fetch, state } = observe('streamable-http', new Response())
  const answer = fetch(url, post)
  expect(state.pending.size).toBe(1)
  await answer
  expect(state.pending.size).toBe(0)
})
