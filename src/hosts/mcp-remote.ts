import { type ForeignPlace, type PlaceParts, spellings, type WantedServer } from './foreign-place.ts'

/** `mcp-remote-0.1.38`, one folder a version until 0.2; later `mcp-remote-v1`. */
const VERSION_FOLDER = /^mcp-remote-v?\d[\w.-]*$/

/**
 * mcp-remote: `<folder of the version>/<hash>_tokens.json` and `…_client_info.json`. The hash is the MD5 of the URL, and
 * of a resource and headers where they were given to it.
 */
export function mcpRemotePlaces(server: WantedServer, { md5, folders }: PlaceParts): ForeignPlace[] {
  const hashes = [...new Set(identities(server).map(md5))]
  return folders
    .filter((folder) => VERSION_FOLDER.test(folder))
    .flatMap((folder) =>
      hashes.map((hash) => ({
        root: 'mcp-remote' as const,
        tokens: `${folder}/${hash}_tokens.json`,
        registration: `${folder}/${hash}_client_info.json`,
        expiresAt: 'milliseconds' as const,
      })),
    )
}

function identities({ url, headers, resource }: WantedServer): string[] {
  const names = Object.keys(headers).sort()
  const sent = names.length === 0 ? undefined : JSON.stringify(headers, names)
  const resources = resource === undefined ? [undefined] : [resource, undefined]
  const sentOrNot = sent === undefined ? [undefined] : [sent, undefined]
  return spellings(url).flatMap((spelling) =>
    resources.flatMap((first) =>
      sentOrNot.map((second) => [spelling, first, second].filter((part) => part !== undefined).join('|')),
    ),
  )
}
