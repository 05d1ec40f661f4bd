import { isEcho, LEFT_OUT, withoutEcho } from '../echo.ts'
import { sentSecrets } from '../sent-secrets.ts'
import { rebuilt } from './rebuilt-response.ts'

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
  const { statusText } = response
  const body = response.body && withoutEcho(await beginningOf(response.body), all)
  const headers = [...response.headers]
  // All at once first: they are many, and seldom one of them repeats anything.
  const said = [statusText, ...headers.map(([, value]) => value)].join('\n')
  const isClean = !isEcho(said, all, WHOLE)
  return rebuilt(response, body, {
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
    if (typeof error.message === 'string') error.message = this.#cleaned(error.message)
    if (this.#repeats(error.data)) delete error.data
  }

  /** The same for an error that the SDK made: a parser quotes what it could not read, and keeps it in members of the error. */
  cleanError(error: unknown): void {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      const { message, stack } = cause
      const cleaned = this.#cleaned(message)
      if (cleaned !== message) {
        cause.message = cleaned
        if (stack !== undefined) cause.stack = stack.replace(message, () => cleaned)
      }
      // Those of a program are its own.
      if (FILLED_BY_SERVERS.test(cause.name)) this.#emptyMembers(cause)
    }
  }

  /** Some of them are fixed: then what is in them goes. */
  #emptyMembers(holder: object): void {
    for (const name of Object.getOwnPropertyNames(holder)) {
      if (OF_EVERY_ERROR.includes(name)) continue
      const member: unknown = Reflect.get(holder, name)
      if (!this.#repeats(member)) continue
      if (Reflect.deleteProperty(holder, name)) continue
      if (Array.isArray(member)) member.length = 0
      else if (typeof member === 'object' && member !== null) this.#emptyMembers(member)
    }
  }

  #cleaned(text: string): string {
    const secrets = this.#secrets
    if (secrets.length === 0) return text
    if (isEcho(text, secrets, WHOLE)) return LEFT_OUT
    // What is not looked at does not stay.
    return text.length > WHOLE ? `${text.slice(0, WHOLE)}…` : text
  }

  #repeats(value: unknown): boolean {
    const text = jsonOf(value)
    return this.#cleaned(text) !== text
  }
}

/** Errors of the SDK and of what it reads answers with. */
const FILLED_BY_SERVERS = /^(\$?Zod|Protocol|Sdk)/

const OF_EVERY_ERROR = ['cause', 'message', 'name', 'stack']

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    // A circle: an object of the program itself.
    return ''
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
