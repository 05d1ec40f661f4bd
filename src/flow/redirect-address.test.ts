import { describe, expect, test } from 'vitest'
import { redirectAddress } from './redirect-address.ts'

const NEXT_PORTS = Array.from({ length: 19 }, (_, index) => 8081 + index)

describe('a dynamic client', () => {
  test('prefers 8080, then 8081 to 8099, then any', () => {
    expect(redirectAddress({}, [])).toEqual({
      host: 'localhost',
      path: '/callback',
      port: 8080,
      alternatives: [...NEXT_PORTS, 'any'],
    })
  })

  test('prefers the ports it is registered with, newest first', () => {
    const registered = ['http://localhost:8083/callback', 'http://localhost:40123/callback']
    const { port, alternatives } = redirectAddress({}, registered)
    expect(port).toBe(8083)
    expect(alternatives.slice(0, 3)).toEqual([40123, 8080, 8081])
    expect(alternatives.filter((each) => each === 8083)).toEqual([])
  })

  test('is not led by registrations of another redirect URI', () => {
    const others = ['http://127.0.0.1:9000/callback', 'http://localhost:9001/other']
    expect(redirectAddress({}, others).port).toBe(8080)
  })
})

describe('[REDIR-04] no other port than the one that is registered or pinned', () => {
  test.each([
    ['a pre-registered client', { client_id: 'app' }, 8080],
    ['a pre-registered client with a port', { client_id: 'app', callback_port: 9000 }, 9000],
    ['a pinned port without a client', { callback_port: 9000 }, 9000],
  ])('%s', (_what, settings, port) => {
    expect(redirectAddress(settings, ['http://localhost:8083/callback'])).toEqual({
      host: 'localhost',
      path: '/callback',
      port,
      alternatives: [],
    })
  })

  test.each([
    ['http://127.0.0.1:9000/oauth/callback', '127.0.0.1', 9000, '/oauth/callback'],
    ['http://[::1]:9000/', '[::1]', 9000, '/'],
    ['http://localhost:80/cb', 'localhost', 80, '/cb'],
  ])('redirect_uri %s', (redirect_uri, host, port, path) => {
    expect(redirectAddress({ redirect_uri }, [])).toEqual({ host, port, path, alternatives: [] })
  })
})
