/** A request in the form that can be sent twice: URL, headers, and a body that is not used up by sending it. */
export interface Sendable {
  readonly url: string
  readonly headers: Headers
  readonly init: RequestInit
}

/** Sends a request with the server's credential on it. */
export type Send = (request: Sendable) => Promise<Response>

/**
 * Takes what `fetch` takes. A `Request` or a stream is read into memory once, so that a request refused with 401 can
 * be sent again with another token.
 */
export async function toSendable(input: string | URL | Request, init: RequestInit = {}): Promise<Sendable> {
  if (!(input instanceof Request) && !(init.body instanceof ReadableStream)) {
    return { url: String(input), headers: new Headers(init.headers), init }
  }
  const streamed = init.body instanceof ReadableStream ? { duplex: 'half' } : {}
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
