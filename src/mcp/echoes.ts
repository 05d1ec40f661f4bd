import { isEcho, LEFT_OUT, withoutEcho } from '../echo.ts'
import { sentSecrets } from '../sent-secrets.ts'

/** Bytes of a refusal that are read: what is said of it is never longer. */
const REFUSAL = 16_384
/** Characters of what stays whole that are looked at. */
const WHOLE = 65_536

/**
 * A refusal without what it repeats of its request: the SDK puts the whole of it into the error. An answer of success is
 * handed on as it is.
 */
export async function withoutEchoes(response: Response): Promise<Response> {
  const { all } = sentSecrets(response)
  if (response.ok || all.length === 0) return response
  const { status, statusText } = response
  const body = response.body && withoutEcho(await beginningOf(response.body), all)
  const headers = [...response.headers]
  // All at once first: they are many, and seldom one of them repeats anything.
  const said = [statusText, ...headers.map(([, value]) => value)].join('\n')
  const isClean = !isEcho(said, all, WHOLE)
  return new Response(body, {
    // What is no error of HTTP (999) could not be made an answer again.
    status: status >= 200 && status <= 599 ? status : 500,
    headers: isClean ? headers : headers.filter(([, value]) => !isEcho(value, all)),
    statusText: isClean || !isEcho(statusText, all) ? statusText : '',
  })
}

/**
 * Takes what a server repeats out of what a transport reports: an answer of JSON-RPC does not say which HTTP request it
 * belongs to.
 */
export class EchoFilter {
  #secrets: readonly string[] = []

  /** The answer knows all that its server was sent lately. */
  note(response: Response): void {
    this.#secrets = sentSecrets(response).all
  }

  /** Takes what a server repeats out of an error of JSON-RPC: errors end in logs. What a call results in is data, and stays. */
  cleanMessage(answer: unknown): void {
    const { error } = answer as { error?: { message?: unknown; data?: unknown } }
    if (typeof error !== 'object' || error === null) return
    const secrets = this.#secrets
    const { message, data } = error
    if (typeof message === 'string' && isEcho(message, secrets, WHOLE)) {
      error.message = LEFT_OUT
    }
    if (data !== undefined && isEcho(JSON.stringify(data), secrets, WHOLE)) delete error.data
  }

  /** The same for an error that the SDK made: a parser quotes what it could not read. */
  cleanError(error: unknown): void {
    const secrets = this.#secrets
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      const { message, stack } = cause
      if (!isEcho(message, secrets, WHOLE)) continue
      cause.message = LEFT_OUT
      if (stack !== undefined) cause.stack = stack.replace(message, () => (cause as Error).message)
    }
  }
}

async function beginningOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let size = 0; size < REFUSAL; ) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    size += value.byteLength
    text += decoder.decode(value, { stream: true })
  }
  await reader.cancel()
  return text
}
