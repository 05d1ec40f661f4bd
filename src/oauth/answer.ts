import { NetworkFailedError, ResponseInvalidError } from '../errors/index.ts'
import type { JsonObject, JsonValue } from '../ports.ts'
import { isEcho, withoutEcho } from './echo.ts'
import { sentSecrets } from './sent-secrets.ts'

/** The largest document a server may send, in bytes. */
const BODY_LIMIT = 1_048_576
/** How deep its JSON may nest. */
const DEPTH_LIMIT = 32

/** An HTTP answer whose body was read once, under a limit, before anybody judges it. */
export interface Answer {
  readonly url: string
  readonly status: number
  readonly ok: boolean
  readonly headers: Headers
  readonly contentType: string | undefined
  /** The members of a JSON object or a form-encoded body; `undefined` where it is neither. */
  readonly members: JsonObject | undefined
}

/**
 * Reads an answer whatever its status and content type: real servers send JSON as text, forms instead of JSON and
 * errors with status 200. Members that are `null` are dropped; words that repeat what the request carried, or one of
 * the other `secrets`, are left out.
 *
 * @throws `response_invalid` for a body over 1 MB or nested deeper than 32, `network_failed` when it breaks off
 */
export async function readAnswer(
  response: Response,
  requested: string,
  secrets: readonly string[] = [],
): Promise<Answer> {
  const sent = [...sentSecrets(response).all, ...secrets]
  // Metadata names endpoints as it likes; a parsed URL has nothing in it that could act on a terminal.
  const url = new URL(requested).href
  const type = response.headers.get('content-type') ?? undefined
  const contentType = type === undefined ? undefined : withoutEcho(type, sent)
  const invalid = (why: string) => unusable({ url, status: response.status, contentType }, why)
  const text = await readText(response, url, invalid)
  return {
    url,
    status: response.status,
    ok: response.ok,
    headers: response.headers,
    contentType,
    members: discreet(
      membersOf(text, type, () => invalid('its JSON is nested too deep')),
      sent,
    ),
  }
}

function discreet(members: JsonObject | undefined, secrets: readonly string[]): JsonObject | undefined {
  if (!members) return undefined
  const words = ['error', 'error_description', 'error_uri'].flatMap((name) => {
    const text = members[name]
    return typeof text === 'string' ? [[name, withoutEcho(text, secrets)]] : []
  })
  const { scope, ...others } = members
  // A scope is shown as well, and asked for again: without it the one counts that was asked for.
  const isScope = scope !== undefined && !(typeof scope === 'string' && isEcho(scope, secrets))
  return { ...others, ...Object.fromEntries(words), ...(isScope && { scope }) }
}

/** The answer as a `Response` that a strict reader accepts. */
export function cleanResponse(members: JsonObject): Response {
  return Response.json(members)
}

/** A member that has to be a string, or `undefined`; numbers are made strings (`client_id: 17`). */
export function stringMember(members: JsonObject, name: string): string | undefined {
  const value = members[name]
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A member that has to be a finite number of zero or more; numeric strings count (`expires_in: "3600"`). */
export function numberMember(members: JsonObject, name: string): number | undefined {
  const value = members[name]
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : undefined
}

/** A member that has to be a list of strings; anything else in the list is left out. */
export function stringListMember(members: JsonObject, name: string): string[] | undefined {
  const value = members[name]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined
}

async function readText(response: Response, url: string, invalid: (why: string) => Error): Promise<string> {
  if (!response.body) return ''
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return text + decoder.decode()
      size += value.byteLength
      if (size > BODY_LIMIT) throw invalid('it is larger than 1 MB')
      text += decoder.decode(value, { stream: true })
    }
  } catch (error) {
    await reader.cancel().catch(() => {})
    if (error instanceof ResponseInvalidError) throw error
    throw new NetworkFailedError({
      message: `The answer of ${url} broke off.`,
      remedy: 'Try again; nothing stored was changed.',
      url,
      status: response.status,
      cause: error,
    })
  }
}

function unusable(
  { url, status, contentType }: Pick<Answer, 'url' | 'status' | 'contentType'>,
  why: string,
): ResponseInvalidError {
  const message = `The answer of ${url} (HTTP ${status}) was not used: ${why}.`
  return new ResponseInvalidError({ message, url, status, contentType })
}

function membersOf(
  text: string,
  contentType: string | undefined,
  tooDeep: () => Error,
): JsonObject | undefined {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    let value: JsonValue
    try {
      value = JSON.parse(trimmed)
    } catch {
      return undefined
    }
    if (depth(value) > DEPTH_LIMIT) throw tooDeep()
    return Object.fromEntries(Object.entries(value as JsonObject).filter(([, member]) => member !== null))
  }
  if (
    contentType?.toLowerCase().startsWith('application/x-www-form-urlencoded') ||
    /^[\w.-]+=[^<>\s]*$/.test(trimmed)
  ) {
    return Object.fromEntries(new URLSearchParams(trimmed))
  }
  return undefined
}

function depth(value: JsonValue | undefined, level = 0): number {
  if (level > DEPTH_LIMIT || typeof value !== 'object' || value === null) return level
  let deepest = level + 1
  for (const member of Object.values(value)) deepest = Math.max(deepest, depth(member, level + 1))
  return deepest
}
