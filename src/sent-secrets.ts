import { isEcho } from './echo.ts'

/**
 * What requests carried that nobody else may see, kept with an answer as long as that is there: whoever reads the answer must
 * know what in it is no news but an echo.
 */
export interface SentSecrets {
  /** All of them: the values of the headers that are not of the protocol, and the secret parameters of a form. */
  readonly all: readonly string[]
  /** Those that are secrets by their name: a tenant or a trace id in another header may stand in a URL for a reason. */
  readonly credentials: readonly string[]
}

const NONE: SentSecrets = { all: [], credentials: [] }
const sent = new WeakMap<Response, SentSecrets>()

/** Headers of which no value is a secret. */
const PROTOCOL =
  /^(accept|accept-.*|cache-control|content-.*|host|last-event-id|mcp-.*|origin|referer|user-agent)$/
const CREDENTIAL = /authorization|cookie|credential|dpop|key|password|secret|token/
/** Parameters of requests to an authorization server that are secrets. */
const PARAMETER =
  /^(code|code_verifier|refresh_token|client_secret|.*assertion|subject_token|actor_token|token)$/

/** Shorter values of a header that is not called like a secret are words: `production`, `example.com`. */
const LONG_VALUE = 16

/** The secrets of one request. */
export function secretsOf({ headers, body }: Pick<RequestInit, 'headers' | 'body'>): SentSecrets {
  const named = [...new Headers(headers)].filter(
    ([name, value]) => CREDENTIAL.test(name) || (!PROTOCOL.test(name) && value.length >= LONG_VALUE),
  )
  const secret = named.filter(([name]) => CREDENTIAL.test(name))
  const parameters = body instanceof URLSearchParams ? [...body].filter(([name]) => PARAMETER.test(name)) : []
  const others = parameters.map(([, value]) => value)
  const valuesOf = (entries: readonly [string, string][]) =>
    entries.flatMap(([, value]) => credentialsIn(value))
  return { all: [...valuesOf(named), ...others], credentials: [...valuesOf(secret), ...others] }
}

/** As many secrets of one server as requests that it still thinks of can have carried. */
const REMEMBERED = 32

/** The secrets that one server was sent lately: what it repeats need not be of the request that it answers. */
export class SentLately {
  readonly #serverUrl: string
  readonly #all = new Set<string>()
  readonly #credentials = new Set<string>()

  constructor(serverUrl: string) {
    this.#serverUrl = serverUrl
  }

  note({ all, credentials }: SentSecrets): void {
    for (const secret of all) remember(this.#all, secret)
    // What stands in the address of the server is said in every URL below it.
    for (const secret of credentials) {
      if (this.#credentials.has(secret) || !isEcho(this.#serverUrl, [secret]))
        remember(this.#credentials, secret)
    }
  }

  get secrets(): SentSecrets {
    return { all: [...this.#all], credentials: [...this.#credentials] }
  }
}

function remember(secrets: Set<string>, secret: string): void {
  secrets.delete(secret)
  secrets.add(secret)
  const [oldest] = secrets
  if (secrets.size > REMEMBERED && oldest !== undefined) secrets.delete(oldest)
}

/** Returns the response, of which {@link sentSecrets} then knows what its server had been sent. */
export function rememberSent(response: Response, secrets: SentSecrets): Response {
  sent.set(response, secrets)
  return response
}

export function sentSecrets(response: Response): SentSecrets {
  return sent.get(response) ?? NONE
}

/** The credential behind a scheme; of `Basic` also what is in it. */
function credentialsIn(value: string): string[] {
  const [, scheme, credential] = /^([A-Za-z][\w-]*) +(\S+)$/.exec(value) ?? []
  if (scheme === undefined || credential === undefined) return [value]
  return scheme.toLowerCase() === 'basic' ? [credential, ...basicPassword(credential)] : [credential]
}

/** As it was sent, and with the form encoding undone (RFC 6749 §2.3.1), where there is one. */
function basicPassword(credential: string): string[] {
  try {
    const password = atob(credential).replace(/^[^:]*:/, '')
    return [password, password.replaceAll('+', ' ').replace(/(?:%[\da-f]{2})+/gi, decoded)]
  } catch {
    return []
  }
}

function decoded(escapes: string): string {
  try {
    return decodeURIComponent(escapes)
  } catch {
    return escapes
  }
}
