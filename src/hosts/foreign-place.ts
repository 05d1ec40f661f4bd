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

/** A URL as it may have been typed: a lone slash at its end is one that a person leaves out. */
export function spellings(url: string): string[] {
  const { pathname, search } = new URL(url)
  return pathname === '/' && search === '' ? [url, url.slice(0, -1)] : [url]
}
