import fc from 'fast-check'
import { broken, hostilePiece, word } from './broken-text.ts'

const json = (value: unknown): string => JSON.stringify(value)
const nested = (depth: number, open: string, close: string): string =>
  `${open.repeat(depth)}1${close.repeat(depth)}`

/** JSON texts that stand where something else was meant. */
const wrongValue: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      ...[
        'null',
        'true',
        'false',
        '0',
        '-1',
        '-0',
        '1.5',
        '3600',
        '1e400',
        '-1e400',
        '1e308',
        '9007199254740993',
      ],
      ...[
        '""',
        '" "',
        '"3600"',
        '"0x10"',
        '"null"',
        '[]',
        '[null]',
        '[1,"a",{}]',
        '["S256"]',
        '{}',
        '{"a":{}}',
      ],
      ...['{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}'],
      ...[nested(31, '[', ']'), nested(33, '[', ']'), nested(70, '{"a":', '}')],
    ),
  },
  { weight: 4, arbitrary: word.map(json) },
  { weight: 2, arbitrary: hostilePiece.map((piece) => json([piece, piece])) },
)

/** Never cheap to make, so rare. */
const rare: fc.Arbitrary<string> = fc.constantFrom(
  nested(100_000, '[', ']'),
  nested(50_000, '{"a":', '}'),
  '1'.repeat(100_000),
  json('x'.repeat(1_100_000)),
  `[${'0,'.repeat(200_000)}0]`,
)

const value: fc.Arbitrary<string> = fc.oneof(
  { weight: 3000, arbitrary: wrongValue },
  { weight: 1, arbitrary: rare },
)

const memberName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'x_ours', 'x.y/z', '', 'length', '0'),
  word,
)

/**
 * Texts of a JSON object: for each member one of the texts that are right for it, sometimes a wrong one or none, now and
 * then members twice or unknown. Not yet broken as a text.
 */
export function jsonObject(
  members: Readonly<Record<string, fc.Arbitrary<string>>>,
  names: readonly string[] = Object.keys(members),
): fc.Arbitrary<string> {
  const known = names.map((name) =>
    fc.oneof(
      { weight: 16, arbitrary: members[name]! },
      { weight: 1, arbitrary: value },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
  )
  const extra = fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 2,
      arbitrary: fc.array(fc.tuple(fc.oneof(memberName, fc.constantFrom(...names)), value), {
        minLength: 1,
        maxLength: 2,
      }),
    },
  )
  return fc.tuple(fc.tuple(...known), extra).map(([values, extras]) => {
    const pairs = values.flatMap((text, index) =>
      text === undefined ? [] : [`${json(names[index])}:${text}`],
    )
    return `{${[...pairs, ...extras.map(([name, text]) => `${json(name)}:${text}`)].join(',')}}`
  })
}

/** One of these values, as JSON text. */
export function oneOf(...values: readonly unknown[]): fc.Arbitrary<string> {
  return fc.constantFrom(...values.map(json))
}

/** A JSON list of some of these texts. */
export function listOf(item: fc.Arbitrary<string>, maxLength = 3): fc.Arbitrary<string> {
  return fc.array(item, { maxLength }).map((items) => `[${items.join(',')}]`)
}

/** A string that is right here, or any other. */
export function stringLike(...right: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 5, arbitrary: oneOf(...right) }, { weight: 1, arbitrary: word.map(json) })
}

/** The object as a body that broke on its way, or something else altogether. */
export function brokenDocument(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 10, arbitrary: broken(text) },
    { weight: 1, arbitrary: value },
    { weight: 1, arbitrary: text.map((inner) => `[${inner}]`) },
  )
}
