import type { ForeignPlace, PlaceParts, WantedServer } from './foreign-place.ts'
import { mcpRemotePlaces } from './mcp-remote.ts'
import { mcpUsePlaces } from './mcp-use.ts'

/** The programs whose logins can be taken over. */
export type ForeignProgram = (typeof FOREIGN_PROGRAMS)[number]
export const FOREIGN_PROGRAMS = ['mcp-use', 'mcp-remote'] as const

export function isForeignProgram(name: string): name is ForeignProgram {
  return FOREIGN_PROGRAMS.some((program) => program === name)
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
