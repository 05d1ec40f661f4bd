import fc from 'fast-check'

/** No input is longer, in characters: past what is read of any document, and short enough for a million inputs. */
const LONGEST = 1_200_000

/** Pieces that mean something to a terminal, a browser, a shell, a JSON reader, an HTTP parser or a URL parser. */
export const hostilePiece: fc.Arbitrary<string> = fc.constantFrom(
  ...[
    '\u0000',
    '\u0007',
    '\u001b[8m',
    '\u001b]52;c;aGk=\u0007',
    '\u009b2J',
    '\u007f',
    '\r\n',
    '\n',
    '\t',
    '\b',
  ],
  ...['\u202e', '\u2066', '\u061c', '\u00ad', '\u200b', '\ufeff', '\u2028', '\u{e0041}', '\ufff9', '\u180e'],
  ...['\ud800', '\udc00x', '😀', 'é', '\u00ff', 'ı', '\u0130', 'ﬀ'],
  ...[
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "'",
    '"',
    '`',
    '&lt;',
    '&',
    '<!--',
    '</style>',
  ],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    '../',
    '%00',
    '%0d%0a',
    '%',
    '%ff',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    '\\u0000',
    '\\',
    ',',
    ':',
    '=',
    ';',
    '/*',
    '//',
    '*/',
    '#',
    '?',
    '@',
    ' ',
    '  ',
  ],
  ...['1e400', '-1', '1e308', '9007199254740993', 'NaN', '0x10', '-0', 'null', 'undefined', 'true'],
  ...[
    '${SECRET}',
    '${',
    '${env:SECRET}',
    '${input:x}',
    '$(id)',
    '`id`',
    'javascript:alert(1)',
    'file:///etc/passwd',
  ],
  ...['http://169.254.169.254/', 'http://[::1]/', 'https://u:p@h/', '//h', '\\\\h\\x', 'https://', 'a:b'],
)

/** A word of a few characters, now and then a hostile one. */
export const word: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'token', 'files:read', 'x-y', '42', 'Bearer') },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
  { weight: 2, arbitrary: hostilePiece },
)

/** Bytes as a string of the characters U+0000 to U+00FF. */
export const noise: fc.Arbitrary<string> = fc
  .uint8Array({ maxLength: 64 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'))

type Mutation = readonly [
  kind: 'insert' | 'cut' | 'truncate' | 'repeat' | 'flip' | 'move',
  /** Where, in 65536ths of the text. */
  at: number,
  length: number,
  piece: string,
  times: number,
]

const times: fc.Arbitrary<number> = fc.oneof(
  { weight: 2000, arbitrary: fc.integer({ min: 1, max: 5 }) },
  { weight: 20, arbitrary: fc.constantFrom(33, 65, 1000) },
  { weight: 1, arbitrary: fc.constantFrom(20_000, 300_000) },
)

const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.constantFrom('insert', 'cut', 'truncate', 'repeat', 'flip', 'move'),
  fc.nat(0xffff),
  fc.oneof(fc.nat(3), fc.nat(40)),
  hostilePiece,
  times,
)

/** What was written well, mostly spoiled in one to three places. */
export function broken(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const mutations = fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 3 }) },
  )
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc.tuple(text, mutations).map(([whole, steps]) => steps.reduce(mutated, whole)),
    },
    { weight: 1, arbitrary: noise },
  )
}

function mutated(text: string, [kind, at, length, piece, count]: Mutation): string {
  const start = Math.floor((at / 0x10000) * (text.length + 1))
  const end = Math.min(text.length, start + length)
  const before = text.slice(0, start)
  const middle = text.slice(start, end)
  const after = text.slice(end)
  switch (kind) {
    case 'insert':
      return before + many(piece, count, text.length) + middle + after
    case 'cut':
      return before + after
    case 'truncate':
      return before
    case 'repeat':
      return before + many(middle || piece, count + 1, text.length) + after
    case 'flip':
      return (
        before +
        String.fromCharCode((text.charCodeAt(start) || 0) ^ (1 << (length % 8))) +
        text.slice(start + 1)
      )
    case 'move':
      return before + after + middle
  }
}

function many(piece: string, count: number, already: number): string {
  return piece.repeat(Math.max(0, Math.min(count, Math.floor((LONGEST - already) / piece.length))))
}
