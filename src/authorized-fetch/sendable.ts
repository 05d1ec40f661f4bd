/** A request in the form that can be sent twice: URL, headers, and a body that is not used up by sending it. */
export interface Sendable {
  readonly url: string
  readonly headers: Headers
  readonly init: RequestInit
}

/** Sends a request with the server's credential on it. */
export type Send = (request: Sendable) => Promise<Response>

/**
 * Takes what `fetch` takes. The body of a `Request` or a stream is read into memory once, so that a request refused with 401 can
 * be sent again with another token.
 */
export async function toSendable(input: string | URL | Request, init: RequestInit = {}): Promise<Sendable> {
  const streams = isUsedUpBySending(init.body)
  if (!(input instanceof Request) && !streams) {
    return { url: String(input), headers: new Headers(init.headers), init }
  }
  const streamed = streams ? { duplex: 'half' } : {}
  const request = new Request(input, { ...init, ...streamed })
  const body = request.body ? await request.arrayBuffer() : undefined
  return {
    url: request.url,
    headers: new Headers(request.headers),
    init: {
      method: request.method,
      redirect: request.redirect,
      signal: request.signal,
      ...(body && { body }),
    },
  }
}

/** A stream, or what Node's `fetch` takes as one: anything that can be iterated asynchronously. */
function isUsedUpBySending(body: unknown): boolean {
  return (
    typeof body === 'object' &&
    body !== null &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body)
  )
}
