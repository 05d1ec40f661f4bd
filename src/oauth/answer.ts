import { isEcho, withoutEcho } from '../echo.ts'
import { bareCause } from '../errors/bare-cause.ts'
import { NetworkFailedError, ResponseInvalidError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import type { JsonObject, JsonValue } from '../ports.ts'
import { sentSecrets } from '../sent-secrets.ts'

/** The largest document a server may send, in bytes. */
const BODY_LIMIT = 1_048_576
/** How deep its JSON may nest. */
const DEPTH_LIMIT = 32
/** How many values may be in it, at all depths. */
const VALUE_LIMIT = 10_000

/** An HTTP answer whose body was read once, under a limit, before anybody judges it. */
export interface Answer {
  readonly url: string
  readonly status: number
  readonly ok: boolean
  readonly headers: Headers
  /** Fit to be shown. */
  readonly contentType: string | undefined
  /** The members of a JSON object or a form-encoded body; `undefined` where it is neither. */
  readonly members: JsonObject | undefined
}

/**
 * Reads an answer whatever its status and content type: real servers send JSON as text, forms instead of JSON and
 * errors with status 200. Members that are `null` are dropped; words, the content type among them, that repeat what
 * the request carried, or one of the other `secrets`, are left out.
 *
 * @throws `response_invalid` for a body over 1 MB, nested deeper than 32 or of more than 10,000 values, `network_failed`
 *   when it breaks off
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
  const head: AnswerHead = {
    url,
    status: response.status,
    ok: response.ok,
    headers: response.headers,
    contentType: type && cleanServerText(withoutEcho(type, sent), 80),
  }
  const members = membersOf(await readText(response, head), type)
  const excess = excessOf(members)
  if (excess) throw invalid(head, excess)
  return { ...head, members: discreet(members, sent) }
}

/**
 * The same for a document that a server publishes: whatever in it repeats a credential that it was sent before is left out,
 * since issuers and endpoints are told of and end in messages.
 *
 * @throws as {@link readAnswer}
 */
export async function readMetadata(response: Response, requested: string): Promise<Answer> {
  const { credentials } = sentSecrets(response)
  const answer = await readAnswer(response, requested)
  if (!answer.members || credentials.length === 0) return answer
  const isFit = (value: JsonValue | undefined) => typeof value !== 'string' || !isEcho(value, credentials)
  const fit = Object.entries(answer.members)
    .filter(([, value]) => isFit(value))
    .map(([name, value]) => [name, Array.isArray(value) ? value.filter(isFit) : value])
  return { ...answer, members: Object.fromEntries(fit) }
}

type AnswerHead = Omit<Answer, 'members'>

/** Members whose words end in messages. */
const SHOWN = ['error', 'error_description', 'error_uri', 'issued_token_type']

function discreet(members: JsonObject | undefined, secrets: readonly string[]): JsonObject | undefined {
  if (!members) return undefined
  const words = SHOWN.flatMap((name) => {
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

/** Seconds. More, counted from now, would be past the last moment that `Date` can say. */
const LONGEST_TIME = 4e12

/**
 * A member that has to be a number of seconds, zero or more; numeric strings count (`expires_in: "3600"`). What is longer
 * than a date can say is as long as it can.
 */
export function secondsMember(members: JsonObject, name: string): number | undefined {
  const value = members[name]
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number) || number < 0) return undefined
  return Math.min(number, LONGEST_TIME)
}

/** A member that has to be a list of strings; anything else in the list is left out. */
export function stringListMember(members: JsonObject, name: string): string[] | undefined {
  const value = members[name]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined
}

async function readText(response: Response, head: AnswerHead): Promise<string> {
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
      if (size > BODY_LIMIT) throw invalid(head, 'it is larger than 1 MB')
      text += decoder.decode(value, { stream: true })
    }
  } catch (error) {
    await reader.cancel().catch(() => {})
    if (error instanceof ResponseInvalidError) throw error
    throw new NetworkFailedError({
      message: `The answer of ${head.url} broke off.`,
      remedy: 'Try again; nothing stored was changed.',
      url: head.url,
      status: head.status,
      cause: bareCause(error),
    })
  }
}

function invalid({ url, status, contentType }: AnswerHead, why: string): ResponseInvalidError {
  return new ResponseInvalidError({
    message: `The answer of ${url} (HTTP ${status}) was not used: ${why}.`,
    url,
    status,
    contentType,
  })
}

function membersOf(text: string, contentType: string | undefined): JsonObject | undefined {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    let value: JsonValue
    try {
      value = JSON.parse(trimmed)
    } catch {
      return undefined
    }
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

/** What there is too much of. Level by level, so that what is nested deep does not take the stack along. */
function excessOf(value: JsonValue | undefined): string | undefined {
  let count = 0
  let level: (JsonValue | undefined)[] = [value]
  for (let depth = 0; level.length > 0; depth += 1) {
    count += level.length
    if (count > VALUE_LIMIT) return `it has more than ${VALUE_LIMIT.toLocaleString('en')} values`
    const containers = level.filter((item) => typeof item === 'object' && item !== null)
    if (containers.length > 0 && depth >= DEPTH_LIMIT) return 'its JSON is nested too deep'
    level = containers.flatMap((container) => Object.values(container as JsonObject))
  }
  return undefined
}
