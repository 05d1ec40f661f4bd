import { type ForeignPlace, spellings } from './foreign-place.ts'

/** Where mcp-use for Python and for TypeScript keep the login of a URL. */
export function mcpUsePlaces(url: string): ForeignPlace[] {
  return [...pythonNames(url).map(pythonPlace), ...spellings(url).map(typescriptPlace)]
}

/** Host, port and path with `_` for `/`; before that, as its documentation has it, only the host. */
function pythonNames(url: string): string[] {
  const { host } = new URL(url)
  const paths = spellings(url).map((spelling) => pathOf(spelling).replaceAll('/', '_'))
  return [...new Set([...paths.map((path) => `${host}_${path}`), host, host.replace(':', '_')])]
}

/** As it was typed: `URL` makes a slash of nothing. */
function pathOf(url: string): string {
  return /^[^:]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] ?? ''
}

function pythonPlace(name: string): ForeignPlace {
  return {
    root: 'mcp-use-python',
    tokens: `${name}.json`,
    registration: `registrations/${name}_registration.json`,
    expiresAt: 'seconds',
  }
}

function typescriptPlace(url: string): ForeignPlace {
  const hash = hashOf(url)
  return {
    root: 'mcp-use-typescript',
    tokens: `${hash}/mcp_auth_${hash}_tokens`,
    registration: `${hash}/mcp_auth_${hash}_client_info`,
    expiresAt: 'seconds',
  }
}

/** Java's `hashCode` without its sign, in hexadecimal: 31 bits, so different URLs can share one. */
function hashOf(url: string): string {
  let hash = 0
  for (let index = 0; index < url.length; index++) hash = (Math.imul(hash, 31) + url.charCodeAt(index)) | 0
  return Math.abs(hash).toString(16)
}
