import { cleanServerText } from '../errors/server-text.ts'
import { nearestKey } from './nearest-key.ts'
import { invalid, isRecord, quote, unexpected } from './problem.ts'

/** The servers of a configuration document and where they stand in it. */
export interface ServerTable {
  /** For messages: `mcpServers`, `servers`, `mcp.servers`. */
  readonly path: string
  readonly servers: Readonly<Record<string, unknown>>
}

/**
 * Finds the servers: under `mcpServers` (mcp-use, Claude Desktop, Claude Code, Cursor, Windsurf, Gemini), under
 * `servers` (VS Code's mcp.json) or under `mcp.servers` (VS Code's settings.json). What else stands in the document
 * is the host's own business and is not looked at.
 *
 * `place` is the file, for messages about the document itself; `''` for an object. Throws `config_invalid`.
 */
export function findServers(document: unknown, place = ''): ServerTable {
  const root = place === '' ? 'config' : cleanServerText(place, 1000)
  if (!isRecord(document)) throw unexpected(root, document, 'an object: {"mcpServers": {…}}')
  const candidates: [path: string, servers: unknown][] = []
  if (Object.hasOwn(document, 'mcpServers')) candidates.push(['mcpServers', document.mcpServers])
  if (Object.hasOwn(document, 'servers')) candidates.push(['servers', document.servers])
  const mcp = Object.hasOwn(document, 'mcp') ? document.mcp : undefined
  if (candidates.length === 0 && isRecord(mcp) && Object.hasOwn(mcp, 'servers')) {
    candidates.push(['mcp.servers', mcp.servers])
  }
  const [found, other] = candidates
  if (!found) throw missing(document, root)
  if (other) {
    throw invalid(
      root,
      '`mcpServers` and `servers` are both there, expected one of them.',
      'Move all servers to one.',
    )
  }
  const [path, servers] = found
  if (!isRecord(servers)) throw unexpected(path, servers, 'an object of servers by name')
  return { path, servers }
}

function missing(document: Record<string, unknown>, root: string) {
  const keys = Object.keys(document)
  if (keys.some((key) => looksLikeServer(document[key]))) {
    return invalid(root, 'no `mcpServers`, but servers beside it.', 'Wrap them: {"mcpServers": {…}}.')
  }
  const near = keys.find((key) => nearestKey(key, ['mcpServers', 'servers']))
  if (near !== undefined) {
    return invalid(root, `no \`mcpServers\`, but ${quote(near)}.`, 'Rename it to `mcpServers`.')
  }
  const perProject = Object.hasOwn(document, 'projects') ? ' What stands under `projects` is not read.' : ''
  return invalid(root, `no servers found, expected \`mcpServers\` (or VS Code's \`servers\`).${perProject}`)
}

function looksLikeServer(value: unknown): boolean {
  return isRecord(value) && (typeof value.url === 'string' || typeof value.command === 'string')
}
