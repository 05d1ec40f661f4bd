import { expect, test } from 'vitest'
import { toSendable } from './sendable.ts'

const url = 'https://mcp.example.com/mcp'
const read = ({ url, init }: { url: string; init: RequestInit }) => new Request(url, init).text()

test('what can be sent twice is left as it is', async () => {
  const init = { method: 'POST', body: 'text', headers: { 'X-Own': 'yes' } }
  const sendable = await toSendable(new URL(url), init)
  expect(sendable.init).toBe(init)
  expect(sendable.url).toBe(url)
  expect(sendable.headers.get('x-own')).toBe('yes')
})

test('the headers are a copy: the credential does not get into those of the caller', async () => {
  const headers = new Headers({ 'x-own': 'yes' })
  const sendable = await toSendable(url, { headers })
  sendable.headers.set('authorization', 'Bearer secret')
  expect(headers.has('authorization')).toBe(false)
})

test('a stream is read once and can be sent twice', async () => {
  const sendable = await toSendable(url, { method: 'POST', body: new Blob(['piece by piece']).stream() })
  expect([await read(sendable), await read(sendable)]).toEqual(['piece by piece', 'piece by piece'])
})

test('a Request keeps method, headers, redirect and signal; init goes before it', async () => {
  const abort = new AbortController()
  const request = new Request(url, {
    method: 'POST',
    body: 'old',
    headers: { 'x-own': 'yes' },
    redirect: 'manual',
    signal: abort.signal,
  })
  const sendable = await toSendable(request, { body: 'new' })
  expect(await read(sendable)).toBe('new')
  expect(sendable.init).toMatchObject({ method: 'POST', redirect: 'manual' })
  expect(sendable.headers.get('x-own')).toBe('yes')
  abort.abort()
  expect(sendable.init.signal!.aborted).toBe(true)
})

test('a Request without a body gets none', async () => {
  const { init } = await toSendable(new Request(url))
  expect('body' in init).toBe(false)
})
