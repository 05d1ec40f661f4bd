import fc from 'fast-check'
import { broken } from './broken-text.ts'

/** An HTTP answer as it comes from the network. */
export interface AnswerInput {
  readonly status: number
  readonly contentType: string
  /** Bytes, as the characters U+0000 to U+00FF. */
  readonly body: string
  /** In how many pieces the body comes. */
  readonly pieces: number
  /** The connection ends before the body does. */
  readonly breaksOff: boolean
}

/** Answers around bodies, which are text and become UTF-8. */
export function answers(
  bodies: fc.Arbitrary<string>,
  contentTypes: readonly string[],
): fc.Arbitrary<AnswerInput> {
  return fc.record({
    status: fc.oneof(
      { weight: 6, arbitrary: fc.constant(200) },
      { weight: 3, arbitrary: fc.constantFrom(201, 204, 206, 400, 401, 403, 404, 429, 500, 503) },
      { weight: 1, arbitrary: fc.integer({ min: 200, max: 599 }) },
    ),
    contentType: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...contentTypes) },
      { weight: 1, arbitrary: broken(fc.constantFrom(...contentTypes)) },
    ),
    body: bodies.map((text) => Buffer.from(text).toString('latin1')),
    pieces: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.nat(5) }),
    breaksOff: fc.oneof(
      { weight: 40, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  })
}

/** Two bytes of choices, then the body. */
export function answerFromBytes(bytes: Buffer, contentTypes: readonly string[]): AnswerInput {
  const [first = 0, second = 0] = bytes
  return {
    status: [200, 200, 200, 400, 401, 429, 503, 302][first % 8]!,
    contentType: contentTypes[second % contentTypes.length]!,
    body: bytes.subarray(2).toString('latin1'),
    pieces: 1 + (first >> 6),
    breaksOff: second === 255,
  }
}

/** The answer as `fetch` gives it. */
export function responseOf({ status, contentType, body, pieces, breaksOff }: AnswerInput): Response {
  const bytes = Buffer.from(body, 'latin1')
  const length = Math.ceil(bytes.length / Math.max(1, pieces))
  let sent = 0
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent < bytes.length) controller.enqueue(Uint8Array.from(bytes.subarray(sent, sent + length)))
      else if (breaksOff) controller.error(new TypeError('terminated'))
      else controller.close()
      sent += length
    },
  })
  const headers = new Headers()
  // What no HTTP parser would let through is no header here either.
  if (!/[^\u0001-\u00ff]|[\r\n]/.test(contentType)) headers.set('content-type', contentType)
  return new Response([204, 205, 304].includes(status) ? null : stream, { status, headers })
}
