import { createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { bytesOf } from './base64url.ts'
import { createRecordCipher } from './record-cipher.ts'

const k1 = randomBytes(32)
const k2 = randomBytes(32)
const cipher = createRecordCipher({ current: 'k1', keys: { k1 } })
const refusal = { code: 'store_failed', location: 'a place' }
const open = (name: string, sealed: { keyId: string; data: string }, by = cipher) =>
  by.open(name, sealed, 'a place')

test('what is sealed under a name is opened under that name', async () => {
  for (const text of ['', 'a', 'ü💥\u0000', 'x'.repeat(100_000)]) {
    expect(await open('a', await cipher.seal('a', text))).toBe(text)
  }
})

test('another program can open it by what docs/storage-format.md says', async () => {
  const { keyId, data } = await cipher.seal('a name', 'text')
  const bytes = Buffer.from(data, 'base64url')
  const key = Buffer.from(hkdfSync('sha256', k1, '', 'latchkey\na name', 32))
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
  decipher.setAAD(Buffer.from(`latchkey record v1\n${keyId}\na name`))
  decipher.setAuthTag(bytes.subarray(-16))
  expect(decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8')).toBe('text')
})

test('the same text never looks the same twice, and shows nothing of itself', async () => {
  const [one, other] = [await cipher.seal('a', 'secret secret'), await cipher.seal('a', 'secret secret')]
  expect(one.data).not.toBe(other.data)
  expect(Buffer.from(one.data, 'base64url').toString('latin1')).not.toContain('secret')
})

test('under another name it cannot be opened: a record cannot be moved', async () => {
  await expect(open('b', await cipher.seal('a', 'text'))).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('"k1"'),
  })
})

test('no bit of it can be changed', async () => {
  const { keyId, data } = await cipher.seal('a', 'text')
  const bytes = bytesOf(data)!
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    const forged = { keyId, data: Buffer.from(changed).toString('base64url') }
    await expect(open('a', forged)).rejects.toMatchObject(refusal)
  }
  for (const length of [0, 12, 20, bytes.length - 1]) {
    const cut = { keyId, data: Buffer.from(bytes.subarray(0, length)).toString('base64url') }
    await expect(open('a', cut)).rejects.toMatchObject(refusal)
  }
})

test('a key that is not there is named, and so is one that is another under the same id', async () => {
  const sealed = await cipher.seal('a', 'text')
  const without = createRecordCipher({ current: 'k2', keys: { k2 } })
  await expect(open('a', sealed, without)).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('the key "k1", which is not among the keys'),
  })
  const another = createRecordCipher({ current: 'k1', keys: { k1: k2 } })
  await expect(open('a', sealed, another)).rejects.toMatchObject({
    ...refusal,
    message: expect.stringContaining('cannot be opened with the key "k1"'),
  })
})

test('after a rotation the new key seals and the old one still opens', async () => {
  const old = await cipher.seal('a', 'text')
  const rotated = createRecordCipher({ current: 'k2', keys: { k1, k2 } })
  expect(await open('a', old, rotated)).toBe('text')
  expect((await rotated.seal('a', 'text')).keyId).toBe('k2')
})

test('the id of a record’s key cannot be changed to that of another', async () => {
  const both = createRecordCipher({ current: 'k1', keys: { k1, k2: k1 } })
  const { data } = await both.seal('a', 'text')
  await expect(open('a', { keyId: 'k2', data }, both)).rejects.toMatchObject(refusal)
})

test('keys are 32 bytes, in any of the usual spellings', async () => {
  const sealed = await cipher.seal('a', 'text')
  for (const spelled of [k1.toString('base64'), k1.toString('base64url'), new Uint8Array(k1)]) {
    expect(await open('a', sealed, createRecordCipher({ current: 'k1', keys: { k1: spelled } }))).toBe('text')
  }
})

test.each<[string, string, Record<string, unknown>, string]>([
  ['no current key', 'k2', { k1 }, 'keys.current'],
  ['a name of the language', 'constructor', { k1 }, 'keys.current'],
  ['a short key', 'k1', { k1: 'c2VjcmV0' }, 'keys.keys.k1'],
  ['a key in hexadecimal', 'k1', { k1: k1.toString('hex') }, 'keys.keys.k1'],
  ['text that is no base64', 'k1', { k1: `${'secret!'.repeat(6)}!` }, 'keys.keys.k1'],
  ['an unset variable', 'k1', { k1: undefined }, 'keys.keys.k1'],
  ['an id that would not fit where it is stored', 'k 1', { 'k 1': k1 }, 'keys.keys'],
])('%s is refused at once, and nothing of a key is shown', (_, current, keys, at) => {
  const make = () => createRecordCipher({ current, keys: keys as Record<string, string> })
  expect(make).toThrow(expect.objectContaining({ code: 'config_invalid', key: at }))
  try {
    make()
  } catch (error) {
    expect(JSON.stringify(error) + String(error)).not.toMatch(/secret!|c2VjcmV0/)
    expect(String(error)).not.toContain(k1.toString('hex'))
  }
})

test('later changes of the caller’s bytes change no key', async () => {
  const bytes = new Uint8Array(k1)
  const own = createRecordCipher({ current: 'k1', keys: { k1: bytes } })
  bytes.fill(0)
  expect(await open('a', await own.seal('a', 'text'))).toBe('text')
})
