/** An answer with another body or other headers, which still can be made: of its status and reason what `Response` takes. */
export function rebuilt(
  { status, statusText, headers }: Response,
  body: ReadableStream<Uint8Array> | string | null,
  changes: Pick<ResponseInit, 'headers' | 'statusText'> = {},
): Response {
  const reason = changes.statusText ?? statusText
  return new Response(body, {
    headers: changes.headers ?? headers,
    // What is no status of HTTP (999) is no success either.
    status: status >= 200 && status <= 599 ? status : 500,
    // A reason is read as UTF-8, and may be anything.
    statusText: /^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : '',
  })
}
