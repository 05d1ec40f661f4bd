// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are what is tested
import { expect, test } from 'vitest'
import { ConfigInvalidError } from '../errors/index.ts'
import { authorizationField, headerFields } from './header-fields.ts'

test('fields are trimmed and kept', () => {
  const fields = headerFields({ 'X-A': ' 1\t', 'x_b.c~': '', 'X-Caf': 'é\tok' }, 'headers')
  expect({ ...fields }).toEqual({ 'X-A': '1', 'x_b.c~': '', 'X-Caf': 'é\tok' })
})

test.each([
  ['Authorization', 'Bearer abc'],
  ['authorization', 'Basic YTpi'],
  ['AUTHORIZATION', 'raw-key'],
  ['aUthorization', 'AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=c'],
])('%s: %s is a credential', (name, value) => {
  expect(authorizationField(headerFields({ 'X-A': '1', [name]: value }, 'headers'))).toBe(name)
})

test.each([
  ['no object', 'x', 'headers: found a string'],
  ['a list', [], 'headers: found an empty array'],
  ['null', null, 'headers: found null'],
  ['a space in the name', { 'X A': '1' }, 'headers["X A"]: not a header name'],
  ['an empty name', { '': '1' }, 'headers[""]: not a header name'],
  ['a colon in the name', { 'X:': '1' }, 'not a header name'],
  ['a line end in the name', { 'X\r\nY': '1' }, 'headers["X\\r\\nY"]: not a header name'],
  ['a letter outside ASCII in the name', { Xé: '1' }, 'not a header name'],
  ['a line end in the value', { X: 'a\r\nY: canary' }, 'headers.X: found a line end'],
  ['a lone line feed', { X: 'a\ncanary' }, 'headers.X: found a line end'],
  ['a NUL', { X: 'canary\0' }, 'headers.X: found a line end'],
  ['an emoji', { X: 'canary 🔑' }, 'headers.X: found a character that no header can carry'],
  ['undefined', { X: undefined }, 'headers.X: found undefined, expected a string.\nIs a variable not set?'],
  ['a number', { X: 42 }, 'headers.X: found a number, expected a string'],
  ['one name in two cases', { 'X-A': '1', 'x-a': '2' }, 'headers.x-a: the same header as headers.X-A'],
  ['an empty credential', { Authorization: '' }, 'headers.Authorization: found no credential'],
  ['a scheme alone', { authorization: 'Bearer ' }, 'found no credential'],
  ['an unset variable', { authorization: 'Bearer undefined' }, 'Is a variable not set?'],
  ['null as text', { authorization: 'null' }, 'Is a variable not set?'],
  ['a reference that nobody replaced', { authorization: 'Bearer ${TOKEN}' }, 'Is a variable not set?'],
])('%s is refused', (_, value, message) => {
  const act = () => headerFields(value, 'headers')
  expect(act).toThrow(ConfigInvalidError)
  expect(act).toThrow(message)
  expect(act).not.toThrow('canary')
})
