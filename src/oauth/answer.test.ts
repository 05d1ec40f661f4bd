import { describe, expect, test } from 'vitest'
import { isLatchkeyError } from '../errors/index.ts'
import { readAnswer, secondsMember, stringListMember, stringMember } from './answer.ts'

const URL_ASKED = 'https://as.example/token'

function read(body: BodyInit | null, contentType?: string, status = 200) {
  const headers: Record<string, string> = contentType ? { 'content-type': contentType } : {}
  return readAnswer(new Response(body, { status, headers }), URL_ASKED)
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isLatchkeyError(error) ? error.code : `not one of ours: ${String(error)}`
}

describe('readAnswer', () => {
  test.each<[string, string, string | undefined, object | undefined]>([
    ['JSON', '{"a":1}', 'application/json', { a: 1 }],
    ['JSON typed as text', ' {"a":1}\n', 'text/plain', { a: 1 }],
    ['JSON typed as a form', '{"a":1}', 'application/x-www-form-urlencoded', { a: 1 }],
    ['JSON without a type', '{"a":1}', undefined, { a: 1 }],
    ['JSON after a byte order mark', '\uFEFF{"a":1}', 'application/json', { a: 1 }],
    ['members without null', '{"a":null,"b":2}', 'application/json', { b: 2 }],
    [
      'a form',
      'error=bad_verification_code&error_description=The+code',
      'application/x-www-form-urlencoded; charset=utf-8',
      { error: 'bad_verification_code', error_description: 'The code' },
    ],
    ['a form typed as text', 'access_token=x&scope=a%2Cb', 'text/plain', { access_token: 'x', scope: 'a,b' }],
    ['nothing of HTML', '<!doctype html><a href="?x=1">', 'text/html', undefined],
    ['nothing of broken JSON', '{"a":', 'application/json', undefined],
    ['nothing of a JSON list', '[{"a":1}]', 'application/json', undefined],
    ['nothing of plain words', 'Forbidden', 'text/plain', undefined],
    ['nothing of an empty body', '', 'application/json', undefined],
  ])('reads %s', async (_what, body, type, members) => {
    expect((await read(body, type)).members).toEqual(members)
  })

  test('reads an answer without a body', async () => {
    const answer = await read(null, undefined, 204)
    expect(answer).toMatchObject({ url: URL_ASKED, status: 204, ok: true, members: undefined })
  })

  test('keeps status and content type of an error', async () => {
    const answer = await read('{"error":"invalid_client"}', 'application/json', 401)
    expect(answer).toMatchObject({ status: 401, ok: false, contentType: 'application/json' })
    expect(answer.members).toEqual({ error: 'invalid_client' })
  })

  test('shows the URL as parsed, whatever metadata spelt it like', async () => {
    const answer = await readAnswer(new Response('{}'), 'https://as.example/\u001b[2Jtoken')
    expect(answer.url).toBe('https://as.example/%1B[2Jtoken')
  })

  test('[NET-09] refuses a body over 1 MB, also one that never ends', async () => {
    expect(await codeOf(read('x'.repeat(1_048_577)))).toBe('response_invalid')
    let sent = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    expect(await codeOf(read(endless))).toBe('response_invalid')
    expect(sent).toBeLessThan(30)
  })

  test('[NET-09] refuses JSON of more than 10,000 values, wherever they are', async () => {
    const list = (length: number) => JSON.stringify({ a: { b: new Array(length).fill(1) } })
    // With the list itself and the two objects around it.
    expect((await read(list(9_997))).members).toBeDefined()
    expect(await codeOf(read(list(9_998)))).toBe('response_invalid')
  })

  test('[NET-09] refuses JSON nested deeper than 32 and takes 32', async () => {
    const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    expect((await read(nested(32))).members).toBeDefined()
    expect(await codeOf(read(nested(33)))).toBe('response_invalid')
    expect(await codeOf(read(nested(100_000)))).toBe('response_invalid')
    expect(await codeOf(read(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`))).toBe('response_invalid')
  })

  test('calls a body that breaks off a network failure', async () => {
    const broken = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('{"access_token":"a')),
      pull: (controller) => controller.error(new Error('ECONNRESET')),
    })
    expect(await codeOf(read(broken))).toBe('network_failed')
  })
})

describe('members', () => {
  test.each([
    ['text', 'text'],
    ['', undefined],
    [17, '17'],
    [true, undefined],
    [{ a: 1 }, undefined],
  ])('string %j → %j', (value, expected) => {
    expect(stringMember({ value }, 'value')).toBe(expected)
  })

  test.each([
    [3600, 3600],
    ['3600', 3600],
    ['0', 0],
    [-1, undefined],
    ['abc', undefined],
    ['', undefined],
    [JSON.parse('1e400'), undefined],
    [[1], undefined],
  ])('number %j → %j', (value, expected) => {
    expect(secondsMember({ value }, 'value')).toBe(expected)
  })

  test('a list keeps its strings', () => {
    expect(stringListMember({ list: ['a', null, 1, 'b'] }, 'list')).toEqual(['a', 'b'])
    expect(stringListMember({ list: 'a b' }, 'list')).toBeUndefined()
  })
})
