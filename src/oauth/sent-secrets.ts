/**
 * What a request carried that nobody else may see, kept with its answer as long as that is there: whoever reads the answer
 * must know what in it is no news but an echo.
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

/** Returns the response, of which {@link sentSecrets} then knows what its request carried. */
export function rememberSent(
  response: Response,
  { headers, body }: Pick<RequestInit, 'headers' | 'body'>,
  more: readonly (string | undefined)[] = [],
): Response {
  const named = [...new Headers(headers)].filter(([name]) => !PROTOCOL.test(name))
  const secret = named.filter(([name]) => CREDENTIAL.test(name))
  const parameters = body instanceof URLSearchParams ? [...body].filter(([name]) => PARAMETER.test(name)) : []
  const others = [...parameters.map(([, value]) => value), ...more.filter((value) => value !== undefined)]
  const valuesOf = (entries: readonly [string, string][]) =>
    entries.flatMap(([, value]) => credentialsIn(value))
  sent.set(response, { all: [...valuesOf(named), ...others], credentials: [...valuesOf(secret), ...others] })
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

/** As it was sent, and with the form encoding undone (RFC 6749 §2.3.1). */
function basicPassword(credential: string): string[] {
  try {
    const password = atob(credential).replace(/^[^:]*:/, '')
    return [password, decodeURIComponent(password.replaceAll('+', ' '))]
  } catch {
    return []
  }
}
