import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { basicAuth, type CustomAuth, headers } from './custom-auth.ts'

async function sent(auth: CustomAuth): Promise<Headers> {
  const request = new Request('https://a.example.com/', {
    method: 'POST',
    body: 'x',
    headers: { 'X-Old': '1' },
  })
  return (await auth.sign(request)).headers
}

test.each([
  ['Aladdin', 'open sesame', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
  // RFC 7617 §2.1: UTF-8.
  ['test', '123£', 'Basic dGVzdDoxMjPCow=='],
  ['key-as-user', '', 'Basic a2V5LWFzLXVzZXI6'],
  ['u', 'p:w', 'Basic dTpwOnc='],
])('basicAuth(%j, %j)', async (user, password, expected) => {
  const fields = await sent(basicAuth(user, password))
  expect(fields.get('authorization')).toBe(expected)
  expect(fields.get('x-old')).toBe('1')
})

test.each([
  ['a:b', 'p', 'basicAuth(user)'],
  ['', 'p', 'basicAuth(user)'],
  [undefined, 'p', 'basicAuth(user)'],
  ['u', undefined, 'basicAuth(password)'],
  ['u', null, 'basicAuth(password)'],
  ['u\n', 'p', 'basicAuth(user)'],
  ['u', 'p\0', 'basicAuth(password)'],
])('basicAuth(%j, %j) is refused', (user, password, key) => {
  const act = () => basicAuth(user as string, password as string)
  expect(act).toThrow(ConfigInvalidError)
  expect(act).toThrow(key)
})

test('headers() sets each field', async () => {
  const fields = await sent(headers({ 'X-API-Key': 'k', Authorization: 'Token t', 'X-Old': '2' }))
  expect(Object.fromEntries(fields)).toMatchObject({
    'x-api-key': 'k',
    authorization: 'Token t',
    'x-old': '2',
  })
})

test.each([
  [{}],
  [{ 'X-Key': '' }],
  [{ 'X-Key': undefined }],
  [{ 'X-Key': 'a\r\nX-Evil: 1' }],
  [{ 'X Key': 'a' }],
  [{ Authorization: 'Bearer undefined' }],
  [undefined],
])('headers(%j) is refused', (fields) => {
  expect(() => headers(fields as Record<string, string>)).toThrow(ConfigInvalidError)
})

test('printing what the factories return shows no secret', () => {
  for (const auth of [basicAuth('user', 'canary-secret'), headers({ 'X-Key': 'canary-secret' })]) {
    expect(inspect(auth, { depth: 9, showHidden: true }) + JSON.stringify(auth)).not.toContain('canary')
  }
})
