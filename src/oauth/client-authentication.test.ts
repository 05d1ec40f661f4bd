import { describe, expect, test } from 'vitest'
import {
  type ClientAuthenticationMethod,
  chooseAuthenticationMethod,
  clientAuthentication,
  otherAuthenticationMethod,
  registeredAuthenticationMethod,
  registrationAuthenticationMethod,
} from './client-authentication.ts'

const METADATA = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
}

function applied(method: ClientAuthenticationMethod, client_id: string, client_secret?: string) {
  const body = new URLSearchParams()
  const headers = new Headers()
  const client = { client_id, token_endpoint_auth_method: method, ...(client_secret && { client_secret }) }
  void clientAuthentication(client)(METADATA, { client_id }, body, headers)
  const basic = headers.get('authorization')?.replace('Basic ', '')
  return { body: Object.fromEntries(body), ...(basic && { basic: atob(basic) }) }
}

describe('the proof on the wire', () => {
  test('none sends the id in the body', () => {
    expect(applied('none', 'app')).toEqual({ body: { client_id: 'app' } })
  })

  test('[CLIENT-03] none never sends a secret', () => {
    expect(applied('none', 'app', 'secret')).toEqual({ body: { client_id: 'app' } })
  })

  test('post sends both in the body', () => {
    expect(applied('client_secret_post', 'app', 's/+:')).toEqual({
      body: { client_id: 'app', client_secret: 's/+:' },
    })
  })

  test.each([
    ['3f1c0d9e-55aa-4b1c.x_~', 'a-b.c_d~e', '3f1c0d9e-55aa-4b1c.x_~:a-b.c_d~e'],
    ['a/b:c', 'd+e f%', 'a%2Fb%3Ac:d%2Be+f%25'],
    ["it's(me)", 'ü!*', 'it%27s%28me%29:%C3%BC%21%2A'],
  ])('[CLIENT-02] Basic form-encodes %j and %j, and nothing that need not be', (id, secret, expected) => {
    const { basic, body } = applied('client_secret_basic', id, secret)
    expect(basic).toBe(expected)
    expect(body).toEqual({})
    const [sentId, sentSecret] = expected.split(':')
    expect(new URLSearchParams(`v=${sentId}`).get('v')).toBe(id)
    expect(new URLSearchParams(`v=${sentSecret}`).get('v')).toBe(secret)
  })

  test.each(['client_secret_basic', 'client_secret_post'] as const)(
    'half a surrogate pair goes out as the character that stands for it: %s',
    (method) => {
      const { basic, body } = applied(method, 'app', 's\ud800')
      expect(basic ?? body.client_secret).toBe(basic ? 'app:s%EF%BF%BD' : 's\ufffd')
    },
  )
})

describe('the method', () => {
  test.each<[string[] | undefined, boolean, ClientAuthenticationMethod]>([
    [undefined, true, 'client_secret_basic'],
    [['client_secret_basic'], true, 'client_secret_basic'],
    [['client_secret_post'], true, 'client_secret_post'],
    [['client_secret_basic', 'client_secret_post'], true, 'client_secret_post'],
    [['none'], true, 'client_secret_basic'],
    [['private_key_jwt'], true, 'client_secret_basic'],
    [['client_secret_basic'], false, 'none'],
    [undefined, false, 'none'],
  ])('[CLIENT-01] [CC-06] of a configured client: %j, secret %j → %s', (supported, hasSecret, expected) => {
    expect(chooseAuthenticationMethod(supported, hasSecret)).toBe(expected)
  })

  test.each<[string[] | undefined, ClientAuthenticationMethod]>([
    [undefined, 'none'],
    [['client_secret_basic', 'none'], 'none'],
    [['client_secret_basic'], 'client_secret_basic'],
    [['client_secret_post', 'client_secret_basic'], 'client_secret_post'],
  ])('to register with: %j → %s', (supported, expected) => {
    expect(registrationAuthenticationMethod(supported)).toBe(expected)
  })

  type Method = ClientAuthenticationMethod
  test.each<[Method, string | undefined, string[] | undefined, Method | undefined]>([
    ['client_secret_basic', 'plain', ['client_secret_basic'], 'client_secret_post'],
    ['client_secret_basic', 'plain', undefined, 'client_secret_post'],
    ['client_secret_basic', 'a+b', ['client_secret_basic'], 'client_secret_basic_unencoded'],
    ['client_secret_basic', 'a+b', ['client_secret_basic', 'client_secret_post'], 'client_secret_post'],
    ['client_secret_post', 'plain', ['client_secret_basic', 'client_secret_post'], 'client_secret_basic'],
    ['client_secret_post', 'plain', ['client_secret_post'], undefined],
    ['client_secret_basic_unencoded', 'a+b', undefined, undefined],
    ['none', 'plain', ['client_secret_post'], 'client_secret_post'],
    ['none', undefined, ['client_secret_post'], undefined],
  ])('after %s was refused: secret %s, %j → %s', (method, secret, supported, expected) => {
    const client = {
      client_id: 'id',
      token_endpoint_auth_method: method,
      ...(secret !== undefined && { client_secret: secret }),
    }
    expect(otherAuthenticationMethod(client, supported)).toBe(expected)
  })

  test.each<[string | undefined, boolean, string[] | undefined, ClientAuthenticationMethod]>([
    ['client_secret_basic', true, ['none'], 'client_secret_basic'],
    ['client_secret_post', true, undefined, 'client_secret_post'],
    // Asked for none and got a secret nobody wanted, without a word about its use.
    [undefined, true, undefined, 'client_secret_basic'],
    [undefined, true, ['client_secret_post'], 'client_secret_post'],
    ['none', true, undefined, 'none'],
    ['client_secret_basic', false, undefined, 'none'],
    ['private_key_jwt', true, undefined, 'client_secret_basic'],
  ])(
    '[CLIENT-01] of a registration that names %s, secret %j, %j → %s',
    (named, hasSecret, supported, expected) => {
      const metadata = { ...METADATA, ...(supported && { token_endpoint_auth_methods_supported: supported }) }
      expect(registeredAuthenticationMethod(named, hasSecret, metadata)).toBe(expected)
    },
  )
})
