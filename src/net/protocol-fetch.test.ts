import { afterEach, describe, expect, test } from 'vitest'
import { type Answer, type LoopbackServer, startLoopbackServer } from '../../test/fixtures/loopback-server.ts'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import type { LatchkeyEvent, Stage } from '../events.ts'
import type { Fetch, SignTry } from '../ports.ts'
import { createNetwork } from './network.ts'

const servers: LoopbackServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

/** A server that gives these answers one after the other, the last one for ever. */
async function serve(...answers: Answer[]): Promise<LoopbackServer> {
  const rest = [...answers]
  const server = await startLoopbackServer(undefined, {
    intercept: () => (rest.length > 1 ? rest.shift() : rest[0]),
  })
  servers.push(server)
  return server
}

interface Bench {
  stage?: Stage
  fetch?: Fetch
  sign?: SignTry
  repeatable?: boolean
  tries?: number
}

function network(
  serverUrl: string,
  { stage = 'discovery', fetch = globalThis.fetch, sign, tries, repeatable = false }: Bench = {},
) {
  const clock = createManualClock()
  const events: LatchkeyEvent[] = []
  const parts = {
    fetch,
    clock,
    emit: (event: LatchkeyEvent) => void events.push(event),
    userAgent: 'latchkey/0',
  }
  const { fetch: fetchOf, judgeUrl } = createNetwork(parts)('demo', serverUrl)
  /** What was waited between tries; the limits of single requests are not among them. */
  const waits = () => clock.delays.filter((delay) => delay !== 15_000)
  return {
    clock,
    events,
    fetch: fetchOf(stage, { ...(sign && { sign }), ...(tries && { tries }), repeatable }),
    judgeUrl,
    waits,
  }
}

const isRetry = (delay: number) => delay < 10_000

describe('a GET', () => {
  test.each([500, 502, 503, 429])(
    'that is answered %i is tried three times, then the answer stands',
    async (status) => {
      const server = await serve({ status, body: 'x' })
      const { clock, fetch, waits, events } = network(server.origin)
      const pending = fetch(`${server.origin}/doc`)
      await clock.elapse(isRetry)
      await clock.elapse(isRetry)
      expect((await pending).status).toBe(status)
      expect(server.requests.lines()).toEqual(['GET /doc', 'GET /doc', 'GET /doc'])
      expect(waits()).toHaveLength(2)
      expect(waits()[0]).toBeLessThanOrEqual(500)
      expect(waits()[1]).toBeGreaterThan(500)
      expect(events.map((event) => event.type === 'http_exchange' && event.attempt)).toEqual([1, 2, 3])
    },
  )

  test('that is reset is tried again and succeeds', async () => {
    const server = await serve({ destroy: true }, { body: { ok: true } })
    const { clock, fetch, events } = network(server.origin)
    const pending = fetch(`${server.origin}/doc`)
    await clock.elapse(isRetry)
    expect((await pending).status).toBe(200)
    expect(server.requests).toHaveLength(2)
    expect(events[0]).toMatchObject({ type: 'http_exchange', failure: expect.any(String), attempt: 1 })
  })

  test('without any answer ends as network_failed after three tries', async () => {
    const server = await serve({ destroy: true })
    const { clock, fetch } = network(server.origin)
    const pending = fetch(`${server.origin}/doc`)
    pending.catch(() => {})
    await clock.elapse(isRetry)
    await clock.elapse(isRetry)
    await expect(pending).rejects.toMatchObject({ code: 'network_failed', url: `${server.origin}/doc` })
    expect(server.requests).toHaveLength(3)
  })

  test('that is answered 404 is not tried again', async () => {
    const server = await serve({ status: 404 })
    const { fetch, waits } = network(server.origin)
    expect((await fetch(`${server.origin}/doc`)).status).toBe(404)
    expect(server.requests).toHaveLength(1)
    expect(waits()).toEqual([])
  })

  test('waits as long as Retry-After says', async () => {
    const server = await serve({ status: 429, headers: { 'retry-after': '7' } }, { body: 'ok' })
    const { clock, fetch, waits } = network(server.origin)
    const pending = fetch(`${server.origin}/doc`)
    await clock.elapse((delay) => delay === 7_000)
    expect((await pending).status).toBe(200)
    expect(waits()).toEqual([7_000])
  })

  test('does not wait longer than a minute', async () => {
    const server = await serve({ status: 503, headers: { 'retry-after': '3600' } })
    const { fetch, waits } = network(server.origin)
    expect((await fetch(`${server.origin}/doc`)).status).toBe(503)
    expect(waits()).toEqual([])
  })

  test('stops waiting when the caller does, with the reason of the caller', async () => {
    const server = await serve({ status: 503 })
    const { fetch, waits } = network(server.origin)
    const controller = new AbortController()
    const pending = fetch(`${server.origin}/doc`, { signal: controller.signal })
    pending.catch(() => {})
    await expect.poll(() => waits().length).toBe(1)
    controller.abort('enough')
    await expect(pending).rejects.toBe('enough')
    expect(server.requests).toHaveLength(1)
  })
})

describe('a POST to the token endpoint', () => {
  const post = { method: 'POST', body: new URLSearchParams({ code: 'once' }) }

  test('[NET-08] is never repeated after a reset', async () => {
    const server = await serve({ destroy: true })
    const { fetch, waits } = network(server.origin, { stage: 'token' })
    await expect(fetch(`${server.origin}/token`, post)).rejects.toMatchObject({ code: 'network_failed' })
    expect(server.requests.lines()).toEqual(['POST /token'])
    expect(waits()).toEqual([])
  })

  test.each([500, 502, 503, 504])('is not repeated after a bare %i', async (status) => {
    const server = await serve({ status })
    const { fetch } = network(server.origin, { stage: 'token' })
    expect((await fetch(`${server.origin}/token`, post)).status).toBe(status)
    expect(server.requests).toHaveLength(1)
  })

  test.each([
    { status: 429 },
    { status: 429, headers: { 'retry-after': '1' } },
    { status: 503, headers: { 'retry-after': '1' } },
  ])('is repeated where the server says that it did nothing: %j', async (notNow) => {
    const server = await serve(notNow, { body: { access_token: 'x' } })
    const { clock, fetch } = network(server.origin, { stage: 'token' })
    const pending = fetch(`${server.origin}/token`, post)
    await clock.elapse(isRetry)
    expect((await pending).status).toBe(200)
    expect(server.requests.map(({ body }) => body)).toEqual(['code=once', 'code=once'])
  })

  test('is repeated where no connection came about: nobody can have acted on it', async () => {
    const server = await serve({ body: { access_token: 'x' } })
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
    let tries = 0
    const { clock, fetch } = network(server.origin, {
      stage: 'token',
      fetch: (input, init) => {
        tries += 1
        return tries < 3
          ? Promise.reject(new TypeError('fetch failed', { cause: refused }))
          : globalThis.fetch(input, init)
      },
    })
    const pending = fetch(`${server.origin}/token`, post)
    await clock.elapse(isRetry)
    await clock.elapse(isRetry)
    expect((await pending).status).toBe(200)
    expect(server.requests).toHaveLength(1)
  })

  test.each([
    ['a reset', { destroy: true }],
    ['a 500', { status: 500 }],
    ['a 502 page', { status: 502, body: '<html>' }],
  ])('that is repeatable is sent three times at most: %s', async (_title, answer) => {
    const server = await serve(answer, answer, { body: { access_token: 'x' } })
    const { clock, fetch } = network(server.origin, { stage: 'token', repeatable: true })
    const pending = fetch(`${server.origin}/token`, post)
    await clock.elapse(isRetry)
    await clock.elapse(isRetry)
    expect((await pending).status).toBe(200)
    expect(server.requests.map(({ body }) => body)).toEqual(Array(3).fill('code=once'))
  })

  test('is sent as often as its caller says at most', async () => {
    const server = await serve({ status: 500 })
    const { clock, fetch } = network(server.origin, { stage: 'token', repeatable: true, tries: 2 })
    const pending = fetch(`${server.origin}/token`, post)
    await clock.elapse(isRetry)
    expect((await pending).status).toBe(500)
    expect(server.requests).toHaveLength(2)
  })

  test('[REF-01] [NET-08] is never sent on by a redirect', async () => {
    const target = await serve({ body: 'stolen' })
    const server = await serve({ status: 307, headers: { location: `${target.origin}/token` } })
    const { fetch } = network(server.origin, { stage: 'token' })
    expect((await fetch(`${server.origin}/token`, post)).status).toBe(307)
    expect(target.requests).toHaveLength(0)
  })
})

describe('a redirect of a GET', () => {
  test('is followed, with none of the headers of the user on another origin', async () => {
    const target = await serve({ body: 'there' })
    const server = await serve(
      { status: 302, headers: { location: '/next' } },
      { status: 307, headers: { location: `${target.origin}/x` } },
    )
    const { fetch } = network(server.origin, { stage: 'probe' })
    const headers = { accept: 'text/event-stream', 'x-api-key': 'canary' }
    expect(await (await fetch(`${server.origin}/a`, { headers })).text()).toBe('there')
    expect(server.requests.lines()).toEqual(['GET /a', 'GET /next'])
    expect(server.requests.map((request) => request.headers['x-api-key'])).toEqual(['canary', 'canary'])
    expect(target.requests[0]?.headers).toMatchObject({
      accept: 'text/event-stream',
      'user-agent': 'latchkey/0',
    })
    expect(target.requests[0]?.headers).not.toHaveProperty('x-api-key')
  })

  test.each([
    ['to plain http', 'http://as.example/doc'],
    ['to a file', 'file:///etc/passwd'],
    ['with user info', 'https://a:b@as.example/'],
  ])('[NET-05] %s is refused', async (_what, location) => {
    const server = await serve({ status: 302, headers: { location } })
    const { fetch } = network(server.origin)
    await expect(fetch(`${server.origin}/doc`)).rejects.toMatchObject({ code: 'url_refused' })
    expect(server.requests).toHaveLength(1)
  })

  test('[NET-02] [NET-05] of a remote server to this machine is refused', async () => {
    const local = await serve({ body: 'internal' })
    // The remote server is played by a caller's own fetch: a test cannot have a public address.
    const remote: Fetch = async (input) =>
      String(input).startsWith(local.origin)
        ? globalThis.fetch(input)
        : new Response(null, { status: 302, headers: { location: `${local.origin}/latest/meta-data` } })
    const { fetch } = network('https://mcp.example/mcp', { fetch: remote })
    await expect(fetch('https://mcp.example/doc')).rejects.toMatchObject({ code: 'url_refused' })
    expect(local.requests).toHaveLength(0)
  })

  test('[NET-05] is given up after five', async () => {
    const server = await serve({ status: 302, headers: { location: '/again' } })
    const { fetch } = network(server.origin)
    expect((await fetch(`${server.origin}/doc`)).status).toBe(302)
    expect(server.requests).toHaveLength(6)
  })

  test('to nowhere is the answer', async () => {
    const server = await serve({ status: 302, headers: { location: 'https://' } })
    const { fetch } = network(server.origin)
    expect((await fetch(`${server.origin}/doc`)).status).toBe(302)
  })
})

describe('the limit of 15 s', () => {
  test('[NET-09] ends a request that is not answered', async () => {
    const server = await serve({ hang: true })
    const { clock, fetch, events } = network(server.origin, { stage: 'token' })
    const pending = fetch(`${server.origin}/token`, { method: 'POST', body: 'x' })
    pending.catch(() => {})
    await expect.poll(() => server.requests.length).toBe(1)
    await clock.elapse((delay) => delay === 15_000)
    await expect(pending).rejects.toThrow(/no answer within 15 s/)
    expect(events).toMatchObject([
      { type: 'http_exchange', failure: 'no answer within 15 s', duration: 15_000 },
    ])
  })

  test('covers the body', async () => {
    const slow: Fetch = async (_input, init) =>
      new Response(
        new ReadableStream({
          start: (controller) =>
            init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason)),
        }),
      )
    const { clock, fetch } = network('https://mcp.example/', { fetch: slow })
    const response = await fetch('https://mcp.example/doc')
    const text = response.text()
    text.catch(() => {})
    await clock.elapse((delay) => delay === 15_000)
    await expect(text).rejects.toThrow(/within 15 s/)
  })
})

test('[NET-02] an address that was never allowed is not asked', async () => {
  const server = await serve({ body: 'x' })
  const { fetch, events, judgeUrl } = network('https://mcp.example/mcp')
  await expect(fetch(`${server.origin}/doc`)).rejects.toMatchObject({ code: 'url_refused' })
  expect(() => judgeUrl(server.origin, 'issuer')).toThrow(/issuer/)
  expect(server.requests).toHaveLength(0)
  expect(events).toEqual([])
})

test('a certificate or port that fails is named', async () => {
  const server = await serve({ body: 'x' })
  await server.close()
  const { clock, fetch } = network(server.origin, { stage: 'registration' })
  const failed = fetch(`${server.origin}/register?token=secret`, { method: 'POST' })
  failed.catch(() => {})
  await clock.elapse(isRetry)
  await clock.elapse(isRetry)
  await expect(failed).rejects.toMatchObject({
    code: 'network_failed',
    url: `${server.origin}/register?token=…`,
  })
  await expect(failed).rejects.toThrow(/ECONNREFUSED/)
})

test('the events show method, URL without values, status, type and attempt', async () => {
  const server = await serve({ status: 200, body: { a: 1 } })
  const { fetch, events } = network(server.origin)
  await fetch(`${server.origin}/doc?secret=canary`)
  expect(events).toEqual([
    {
      type: 'http_exchange',
      server: 'demo',
      stage: 'discovery',
      method: 'GET',
      url: `${server.origin}/doc?secret=…`,
      attempt: 1,
      status: 200,
      content_type: 'application/json',
      duration: 0,
    },
  ])
})

test('requests of the MCP stage are one plain exchange', async () => {
  const server = await serve({ status: 503 })
  const { fetch, waits } = network(server.origin, { stage: 'mcp' })
  expect((await fetch(`${server.origin}/mcp`, { headers: { 'user-agent': 'mine' } })).status).toBe(503)
  expect(server.requests).toHaveLength(1)
  expect(server.requests[0]?.headers['user-agent']).toBe('mine')
  expect(waits()).toEqual([])
})

test('every try and every hop is signed anew, for the URL it goes to', async () => {
  const server = await serve(
    { status: 503 },
    { status: 302, headers: { location: '/there?x=1' } },
    { body: 'ok' },
  )
  let count = 0
  const sign: SignTry = async (url, init) => ({
    ...init,
    headers: { ...(init.headers as object), proof: `${++count} ${url}` },
  })
  const { clock, fetch } = network(server.origin, { sign })
  const pending = fetch(`${server.origin}/doc`, { headers: { accept: 'x' } })
  await clock.elapse(isRetry)
  expect((await pending).status).toBe(200)
  expect(server.requests.map(({ headers }) => [headers.proof, headers.accept])).toEqual([
    [`1 ${server.origin}/doc`, 'x'],
    [`2 ${server.origin}/doc`, 'x'],
    [`3 ${server.origin}/there?x=1`, 'x'],
  ])
})
