import fc from 'fast-check'
import { expect, test } from 'vitest'
import { watched } from './answer-limit.ts'

/** Reads a body that comes in these pieces; resolves to its text, or `undefined` where it was too long. */
async function read(pieces: readonly string[], limit: number): Promise<string | undefined> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
      controller.close()
    },
  })
  const watch = { limit, isEventStream: true, onEnd: () => {}, tooLong: () => new Error('too long') }
  return watched(new Response(body), watch)
    .text()
    .catch(() => undefined)
}

/** The longest event of a whole stream, with the line ends behind it. */
function longestEvent(text: string): number {
  // A blank line at the beginning is an event of nothing.
  const events = text.split(/(?<=^(?:\r\n|\r|\n)|(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r(?!\n)|\n))/)
  return Math.max(...events.map(({ length }) => length))
}

test('an event stream is counted anew behind each blank line, whatever the line ends and however it is cut', async () => {
  const piece = fc.stringMatching(/^(a{1,5}|\r|\n|\r\n)*$/, { size: '+1' })
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { minLength: 1 }),
      fc.integer({ min: 1, max: 30 }),
      async (pieces, limit) => {
        const text = pieces.join('')
        const longest = longestEvent(text)
        const said = await read(pieces, limit)
        // Of a CRLF that was cut, the second half may count for the next event.
        if (longest <= limit - 1) expect(said).toBe(text)
        if (longest > limit + 1) expect(said).toBeUndefined()
      },
    ),
    { numRuns: 500 },
  )
})
