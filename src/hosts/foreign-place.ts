import { mcpRemotePlaces } from './mcp-remote.ts'
import { mcpUsePlaces } from './mcp-use.ts'

/** The programs whose logins can be taken over. */
export type ForeignProgram = (typeof FOREIGN_PROGRAMS)[number]
export const FOREIGN_PROGRAMS = ['mcp-use', 'mcp-remote'] as const

export function isForeignProgram(name: string): name is ForeignProgram {
  return FOREIGN_PROGRAMS.some((program) => program === name)
}

/** The folders they keep them in. mcp-use has one for Python and one for TypeScript. */
export type ForeignRoot = 'mcp-use-python' | 'mcp-use-typescript' | 'mcp-remote'

/** Where the login of one server would be, relative to the root. */
export interface ForeignPlace {
  readonly root: ForeignRoot
  readonly tokens: string
  readonly registration: string
  readonly expiresAt: 'seconds' | 'milliseconds'
}

/** What the name of a file is computed from. */
export interface WantedServer {
  /** Canonical configured URL. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly resource?: string | undefined
}

export interface PlaceParts {
  readonly md5: (text: string) => string
  /** The folders in the root of mcp-remote: it had one for each of its versions. */
  readonly folders: readonly string[]
}

/**
 * Every place where this program may keep the login of this server. Names are computed from the URL and never taken
 * apart: most of them could stand for several URLs.
 */
export function foreignPlaces(
  program: ForeignProgram,
  server: WantedServer,
  parts: PlaceParts,
): ForeignPlace[] {
  return program === 'mcp-use' ? mcpUsePlaces(server.url) : mcpRemotePlaces(server, parts)
}

/** A URL as it may have been typed: a lone slash at its end is one that a person leaves out. */
export function spellings(url: string): string[] {
  const { pathname, search } = new URL(url)
  return pathname === '/' && search === '' ? [url, url.slice(0, -1)] : [url]
}
