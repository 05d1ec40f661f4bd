import { rebuilt } from './rebuilt-response.ts'

/** The longest answer of MCP, and the longest event of a stream, in bytes of the decoded body. */
export const ANSWER_LIMIT = 64 * 1_048_576

export interface BodyWatch {
  readonly limit: number
  /** Whether the count begins anew with every event. */
  readonly isEventStream: boolean
  /** The body has come to its end, or nobody reads it any more. */
  readonly onEnd: () => void
  /** Makes the error in which a body that is too long ends. */
  readonly tooLong: () => Error
}

/** The same answer; its body is counted as it is read, and goes no further than the limit. */
export function watched(response: Response, watch: BodyWatch): Response {
  if (!response.body) return response
  return rebuilt(response, watchedBody(response.body, watch))
}

function watchedBody(
  body: ReadableStream<Uint8Array>,
  { limit, isEventStream, onEnd, tooLong }: BodyWatch,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  const count = isEventStream ? countOfEvent() : countOfAll()
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (done) {
            onEnd()
            return controller.close()
          }
          if (count(value) > limit) throw tooLong()
          controller.enqueue(value)
        } catch (error) {
          onEnd()
          reader.cancel().catch(() => {})
          throw error
        }
      },
      cancel: (reason) => {
        onEnd()
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
}

/** How long a body is once it was read as far as this. */
type Count = (chunk: Uint8Array) => number

function countOfAll(): Count {
  let size = 0
  return ({ length }) => {
    size += length
    return size
  }
}

const LF = 10
const CR = 13

/** The longest event that this chunk is a part of. A blank line ends one; lines end in LF, CR or both (WHATWG HTML §9.2.5). */
function countOfEvent(): Count {
  let size = 0
  let isBlank = true
  let endedInCr = false
  return (chunk) => {
    let longest = 0
    let start = 0
    // The LF of a line end that began in the chunk before.
    let at = endedInCr && chunk[0] === LF ? 1 : 0
    const nextEnd = lineEnds(chunk)
    for (let end = nextEnd(at); end !== -1; end = nextEnd(at)) {
      const isEndOfEvent = isBlank && end === at
      isBlank = true
      at = chunk[end] === CR && chunk[end + 1] === LF ? end + 2 : end + 1
      if (!isEndOfEvent) continue
      longest = Math.max(longest, size + at - start)
      size = 0
      start = at
    }
    if (at < chunk.length) isBlank = false
    endedInCr = chunk.length > 0 ? chunk.at(-1) === CR : endedInCr
    size += chunk.length - start
    return Math.max(longest, size)
  }
}

/** Finds the next CR or LF from a place on, which only grows: each kind is searched for once. */
function lineEnds(chunk: Uint8Array): (from: number) => number {
  const found = { [LF]: chunk.indexOf(LF), [CR]: chunk.indexOf(CR) }
  const next = (byte: typeof LF | typeof CR, from: number): number => {
    if (found[byte] !== -1 && found[byte] < from) found[byte] = chunk.indexOf(byte, from)
    return found[byte]
  }
  return (from) => {
    const [lf, cr] = [next(LF, from), next(CR, from)]
    return lf === -1 || cr === -1 ? Math.max(lf, cr) : Math.min(lf, cr)
  }
}
