import { describe, expect, test } from 'vitest'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import { failureOf } from '../../test/fixtures/workbench.ts'
import type { HttpServerDefinition } from '../definitions.ts'
import { LoginRequiredError, NetworkFailedError } from '../errors/index.ts'
import { systemClock } from '../node/clock.ts'
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
  const unusable: Error[] = []
  const refused: unknown[] = []
  const state: TransportState = {
    now,
    pending: new Set(),
    echoes: new EchoFilter(),
    onLost,
    onUnusable: (error) => unusable.push(error),
    refuse: (id) => refused.push(id),
  }
  const fetch = observedFetch(
    async () => {
      if (outcome instanceof Error) throw outcome
      return outcome
    },
    { kind, state, definition, clock: systemClock, limit: LIMIT },
  )
  return { fetch, state, unusable, refused, losses: () => losses }
}
const LIMIT = 1_000
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

describe('an answer that is longer than the limit', () => {
  const request = { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call' }) }
  const notification = { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', method: 'notifications/x' }) }
  const ofEvents = { headers: { 'content-type': 'Text/Event-Stream; charset=utf-8' } }
  const tooLong = { code: 'response_invalid', remedy: expect.stringContaining('less at a time') }
  /** In chunks of 7 bytes, so that lines and their ends are split everywhere. */
  const answer = (text: string, init: ResponseInit = {}) => {
    const bytes = new TextEncoder().encode(text)
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7))
        controller.close()
      },
    })
    return new Response(body, init)
  }
  const event = (size: number, end = '\n') => `data: ${'x'.repeat(size - 6 - 2 * end.length)}${end}${end}`

  test('ends in an error of ours, whatever its status; one that is as long as it comes through', async () => {
    const fits = observe('streamable-http', answer('x'.repeat(LIMIT)))
    expect((await (await fits.fetch(url, request)).text()).length).toBe(LIMIT)
    for (const status of [200, 202, 400]) {
      for (const init of [{}, ofEvents]) {
        const text = status === 200 ? 'x'.repeat(LIMIT + 1) : event(20).repeat(LIMIT)
        const { fetch, state } = observe('streamable-http', answer(text, { ...init, status }))
        expect(await failureOf((await fetch(url, request)).text())).toMatchObject(tooLong)
        expect(state).toMatchObject({ now: 'open', failure: tooLong })
      }
    }
  })

  test('in a stream of events it is the event that counts, with every kind of line end', async () => {
    for (const end of ['\n', '\r', '\r\n']) {
      const text = event(LIMIT, end).repeat(5) + `: comment${end}id: 1${end}${end}`.repeat(100)
      const fits = observe('streamable-http', answer(text, ofEvents))
      expect((await (await fits.fetch(url, request)).text()).length).toBe(text.length)
      const { fetch, state, refused } = observe(
        'streamable-http',
        answer(event(20) + event(LIMIT + 2, end), ofEvents),
      )
      expect(await failureOf((await fetch(url, request)).text())).toMatchObject(tooLong)
      // Whoever waits for it hears of it; the session goes on.
      expect([state.now, refused]).toEqual(['open', [7]])
    }
    const many = observe('streamable-http', answer(`data: x\n`.repeat(LIMIT), ofEvents))
    expect(await failureOf((await many.fetch(url, request)).text())).toMatchObject(tooLong)
  })

  test('to a notification it is the whole: nobody takes events out of it', async () => {
    for (const [kind, init] of [
      ['streamable-http', notification],
      ['sse', request],
    ] as const) {
      const { fetch, refused } = observe(kind, answer(event(20).repeat(LIMIT), ofEvents))
      expect(await failureOf((await fetch(url, init)).text())).toMatchObject(tooLong)
      expect(refused).toEqual([])
    }
  })

  test('in the event stream of a session it loses the session; while connecting it ends that', async () => {
    for (const kind of ['sse', 'streamable-http'] as const) {
      const open = observe(kind, answer(event(20) + event(LIMIT + 1), ofEvents))
      expect(await failureOf((await open.fetch(url)).text())).toMatchObject(tooLong)
      expect(open.state).toMatchObject({ now: 'lost', loss: tooLong })
      expect([open.losses(), open.unusable]).toEqual([1, []])
      const connecting = observe(kind, answer(event(LIMIT + 1), ofEvents), 'connecting')
      await failureOf((await connecting.fetch(url)).text())
      expect(connecting.unusable).toMatchObject([tooLong])
    }
  })
})

describe('an event stream that is asked for again', () => {
  const stream = () => new Response('retry: 0\n\n', { headers: { 'content-type': 'text/event-stream' } })
  const paced = (fetch: () => Promise<Response>) => {
    const clock = createManualClock()
    const state: TransportState = { now: 'open', pending: new Set(), echoes: new EchoFilter() }
    const observed = observedFetch(fetch, { kind: 'streamable-http', state, definition, clock })
    const read = async () => {
      const { body } = await observed(url)
      await body?.cancel()
    }
    return { clock, state, observed, read }
  }

  test('is spaced more and more while it ends at once', async () => {
    const { clock, state, read } = paced(async () => stream())
    await read()
    await read()
    expect(clock.delays).toEqual([])
    for (let n = 0; n < 7; n += 1) {
      const again = read()
      expect(state.pending.size).toBe(0)
      await clock.elapse(() => true)
      await again
    }
    expect(clock.delays).toEqual([1, 2, 4, 5, 5, 5, 5].map((seconds) => seconds * 1_000))
  })

  test('is spaced as well while it does not come', async () => {
    const { clock, observed } = paced(async () => Promise.reject(networkFailed))
    for (let n = 0; n < 2; n += 1) expect(await failureOf(observed(url))).toBe(networkFailed)
    const third = failureOf(observed(url))
    expect(await clock.elapse(() => true)).toBe(1_000)
    expect(await third).toBe(networkFailed)
  })

  test('comes at once again after one that lived, and other requests never wait', async () => {
    const { clock, observed, read } = paced(async () => stream())
    await read()
    await read()
    const third = observed(url)
    await clock.elapse(() => true)
    const { body } = await third
    await observed(url, post)
    expect(clock.delays).toEqual([1_000])
    void clock.setTimer(() => {}, 2_000)
    await clock.elapse((delay) => delay === 2_000)
    await body?.cancel()
    await read()
    expect(clock.delays).toEqual([1_000, 2_000])
  })

  test('is waited for no longer than since the last one ended, and not at all once the program has sent something', async () => {
    const { clock, observed, read } = paced(async () => stream())
    await read()
    await read()
    void clock.setTimer(() => {}, 700)
    await clock.elapse((delay) => delay === 700)
    const third = read()
    expect(await clock.elapse(() => true)).toBe(300)
    await third
    for (let n = 0; n < 4; n += 1) {
      await observed(url, post)
      await read()
    }
    expect(clock.delays).toEqual([700, 300])
  })

  test('is not waited for when its transport is closed', async () => {
    const { observed, read } = paced(async () => stream())
    await read()
    await read()
    const abort = new AbortController()
    const third = failureOf(observed(url, { signal: abort.signal }))
    abort.abort()
    expect(await third).toBe(abort.signal.reason)
  })
})
