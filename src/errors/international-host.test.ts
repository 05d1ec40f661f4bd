import { domainToUnicode } from 'node:url'
import { expect, test } from 'vitest'
import { internationalHost } from './international-host.ts'

test.each([
  'example.com',
  'example.com:8443',
  'example.com.',
  'xn.example',
  'axn--b.example',
  '127.0.0.1:8080',
  '[2001:db8::1]:8443',
  'localhost',
])('%s is plain', (host) => {
  expect(internationalHost(host)).toBeUndefined()
})

test.each([
  ['pаypal.com', 'letters of another alphabet (Cyrillic)'],
  ['аррӏе.com', 'letters of another alphabet (Cyrillic)'],
  ['login.gοοgle.com', 'letters of another alphabet (Greek)'],
  ['раypal-αβ.com:8443', 'letters of another alphabet (Cyrillic, Greek)'],
  ['münchen.de', 'characters beyond the letters a to z'],
  ['☃.ws', 'characters beyond the letters a to z'],
  ['例え.テスト.', 'letters of another alphabet (Han, Hiragana, Katakana)'],
  ['ꓮpple.example', 'letters of another alphabet'],
  ['למההםפשוטלאמדבריםעברית.example', 'letters of another alphabet (Hebrew)'],
  ['他们为什么不说中文.example', 'letters of another alphabet (Han)'],
  ['почемужеонинеговорятпорусски.example', 'letters of another alphabet (Cyrillic)'],
  ['pročprostěnemluvíčesky.example', 'characters beyond the letters a to z'],
  ['𝖆dmin.ß.example', 'characters beyond the letters a to z'],
])('%s', (name, kind) => {
  const { host, hostname } = new URL(`https://${name}`)
  expect(host).toContain('xn--')
  const found = internationalHost(host)
  // Node's own decoder is the judge of ours.
  expect(found?.written).toBe(domainToUnicode(hostname))
  expect(found?.warning).toContain(`The name \`${hostname}\` has ${kind}. It can look like`)
})

test.each([
  'xn--',
  'xn--a',
  'xn--99999999',
  'xn--a-',
  'xn--ls8h%',
  `xn--${'z'.repeat(5000)}`,
  'xn--é-.example',
])('%j, which no URL has: not shown in letters, and no error', (host) => {
  expect(internationalHost(host)?.written).toBe('(cannot be shown)')
})
