import type { AuthMethod, HttpServerDefinition } from '../definitions.ts'
import { shownUrl } from '../errors/shown-url.ts'
import { authMethod } from './auth.ts'
import { authorizationField, headerFields } from './header-fields.ts'
import { invalid, isRecord, keyPath, unexpected } from './problem.ts'
import { disabled, type ServerEntry, timeout } from './server-entry.ts'
import { urlValue } from './url-value.ts'

/** VS Code's `http` falls back to SSE, Claude Code's does not: trying both serves either. */
const TRANSPORTS: ReadonlyMap<unknown, HttpServerDefinition['transport']> = new Map([
  ['http', 'auto'],
  ['streamable-http', 'streamable-http'],
  ['streamableHttp', 'streamable-http'],
  ['streamable_http', 'streamable-http'],
  ['sse', 'sse'],
])

/** An entry with a URL; `urlKey` is the spelling that holds it. Throws `config_invalid`. */
export function httpServer(
  name: string | undefined,
  entry: ServerEntry,
  urlKey: string,
  path: string,
): HttpServerDefinition {
  const url = urlValue(entry[urlKey], keyPath(path, urlKey), ['https:', 'http:'])
  // Not part of a canonical server URI (MCP authorization, Canonical Server URI) and never sent.
  url.hash = ''
  const headers = 'headers' in entry ? headerFields(entry.headers, keyPath(path, 'headers')) : {}
  return {
    kind: 'http',
    name: name ?? shownUrl(url.href),
    url: url.href,
    transport: transport(entry, urlKey, path),
    headers,
    auth: auth(entry, headers, path),
    ...disabled(entry, path),
    ...timeout(entry, path),
  }
}

function transport(entry: ServerEntry, urlKey: string, path: string): HttpServerDefinition['transport'] {
  if (!('type' in entry)) return urlKey === 'httpUrl' ? 'streamable-http' : 'auto'
  const known = TRANSPORTS.get(entry.type)
  if (known !== undefined) return known
  const expected = '"http", "streamable-http" or "sse" beside a URL'
  throw unexpected(keyPath(path, 'type'), entry.type, expected)
}

/** One credential per server: `auth`, `oauth` and an `Authorization` header exclude each other. */
function auth(entry: ServerEntry, headers: Readonly<Record<string, string>>, path: string): AuthMethod {
  const field = authorizationField(headers)
  const places = [
    ...(field === undefined ? [] : [keyPath(keyPath(path, 'headers'), field)]),
    ...['auth', 'oauth'].filter((key) => key in entry).map((key) => keyPath(path, key)),
  ]
  const [place, second] = places
  if (place !== undefined && second !== undefined) {
    throw invalid(
      second,
      `stands beside ${place}, expected one of them.`,
      'Remove the one that is not meant.',
    )
  }
  if (field !== undefined) return { method: 'headers' }
  if ('auth' in entry) return authMethod(entry.auth, place!)
  if (!('oauth' in entry)) return { method: 'oauth', settings: {} }
  if (!isRecord(entry.oauth)) throw unexpected(place!, entry.oauth, 'an object of OAuth settings')
  return authMethod(entry.oauth, place!)
}
