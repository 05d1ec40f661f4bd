import { expect, test } from 'vitest'
import { LEFT_OUT } from '../echo.ts'
import { rememberSent } from '../sent-secrets.ts'
import { EchoFilter } from './echoes.ts'

const SECRET = 'a-secret-of-this-test'
const filter = new EchoFilter()
filter.note(rememberSent(new Response(), { all: [SECRET], credentials: [SECRET] }))
const long = (text: string) => 'x'.repeat(70_000) + text

test.each(['ProtocolError', 'SdkHttpError', 'ZodError', '$ZodError'])(
  'a %s keeps nothing in its members that a server repeats, or put behind more than anybody looks at',
  (name) => {
    const issues = Object.freeze([SECRET])
    const fixed = [{ keys: [SECRET] }]
    const error = Object.assign(new Error(`You sent ${SECRET}`), {
      name,
      issues,
      long: long(SECRET),
      code: 7,
    })
    Object.defineProperty(error, 'fixed', { value: fixed })
    filter.cleanError(error)
    expect(error.message).toBe(LEFT_OUT)
    expect(error).toEqual(expect.not.objectContaining({ issues: expect.anything(), long: expect.anything() }))
    expect([error.code, fixed]).toEqual([7, []])
    expect(error.stack).not.toContain(SECRET)
  },
)

test('an error of the program keeps its own members, and what it says without the secret', () => {
  const members = { config: { token: SECRET }, rows: Array.from({ length: 20_000 }, (_, n) => n) }
  const error = Object.assign(new Error(`failed with ${SECRET}`), members)
  filter.cleanError(error)
  expect(error).toMatchObject({ ...members, message: LEFT_OUT })
})

test('of a message that is longer than what is looked at, the rest goes', () => {
  const error = new Error(long(SECRET))
  filter.cleanError(error)
  expect(error.message).toBe(`${'x'.repeat(65_536)}…`)
})
