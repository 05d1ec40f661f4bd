import { definitionFromServer } from '../config/mcp-servers.ts'
import { nearestKey } from '../config/nearest-key.ts'
import { quote } from '../config/problem.ts'
import { serverDomain } from '../credentials/identity.ts'
import type { HttpServerDefinition, InvalidServer, ServerDefinition } from '../definitions.ts'
import { isLatchkeyError, ServerUnknownError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { shellWord } from '../errors/shell-word.ts'
import { isUnnamed } from '../errors/shown-url.ts'
import type { CommandContext } from './context.ts'
import type { Flags } from './flags.ts'
import type { ServerList } from './server-list.ts'
import { withFlags } from './server-settings.ts'
import { UsageError } from './usage-error.ts'

/**
 * The server that an operand means: a name from the config, or a URL, which gets the settings of the configured server
 * with that URL where there is one. Flags go on top.
 *
 * @throws `server_unknown`, `config_invalid`, {@link UsageError}
 */
export async function chooseServer(
  operand: string,
  flags: Flags,
  context: CommandContext,
): Promise<ServerDefinition> {
  if (!isUrl(operand)) {
    const servers = await context.servers()
    const found = named(operand, servers)
    warnAbout(found.name, servers, context)
    return withFlags(found, flags, context.io)
  }
  const bare = definitionFromServer(undefined, { url: operand }).definition
  const configured = await configuredAt(bare.url, flags, context)
  if (configured) warnAbout(configured.name, await context.servers(), context)
  return withFlags(configured ?? bare, flags, context.io)
}

/** What is odd about other servers is of no interest now. */
function warnAbout(name: string, { warnings }: ServerList, { emit }: CommandContext): void {
  for (const warning of warnings) if ((warning.server ?? name) === name) emit(warning)
}

/**
 * The same for commands that work on a login that is there: a URL alone finds the login of a pre-registered client
 * as well, if it is the only one.
 */
export async function chooseStored(
  operand: string,
  flags: Flags,
  context: CommandContext,
): Promise<ServerDefinition> {
  const definition = await chooseServer(operand, flags, context)
  const isBare = definition.kind === 'http' && isUnnamed(definition) && !flags['client-id']
  if (!isBare || definition.auth.method !== 'oauth') return definition
  const { settings } = definition.auth
  const account = settings.account ?? null
  const { store } = context.runtime()
  const stored = await store.list({ kind: 'tokens', serverDomain: serverDomain(definition.url), account })
  const clients = stored
    .filter(({ key }) => key.identity.server_url === definition.url)
    .map(({ key }) => key.identity.configured_client_id ?? null)
  const [client] = clients
  if (clients.includes(null) || client == null) return definition
  if (clients.length > 1) {
    const ids = clients.map((id) => `--client-id ${cleanServerText(String(id))}`)
    throw new UsageError('There are logins of several clients at this URL.', `Say which: ${ids.join(' or ')}`)
  }
  return { ...definition, auth: { method: 'oauth', settings: { ...settings, client_id: client } } }
}

/** `host:8080/path` is no URL here: a port is not told from a scheme without the slashes. */
function isUrl(operand: string): boolean {
  return /^[a-z][a-z\d+.-]*:\/\//i.test(operand)
}

function named(name: string, { definitions, untrusted, userFile, paths }: ServerList): ServerDefinition {
  const found = definitions.find((definition) => definition.name === name)
  if (found?.kind === 'invalid') throw found.error
  if (found) return found
  const known = definitions.map((definition) => definition.name)
  const nearest = nearestKey(name, known)
  const remedy = [
    ...(nearest !== undefined
      ? [`Did you mean ${nearest}?`]
      : known.length > 0
        ? [`It has: ${known.join(', ')}.`]
        : []),
    paths.length === 0
      ? `Give a whole URL (https://…), or add the server to ${shownPath(userFile)}.`
      : 'Or give a whole URL (https://…).',
    ...(untrusted === undefined ? [] : [untrustedHint(untrusted)]),
  ]
  throw new ServerUnknownError({
    message:
      paths.length === 0
        ? `There is no server ${quote(name)}: no config file was found.`
        : `There is no server ${quote(name)} in ${paths.map(shownPath).join(' or ')}.`,
    remedy: remedy.join('\n'),
    server: name,
    known,
  })
}

/** A path as it is shown: whoever named a folder, in an archive or a repository, may have chosen it. */
export function shownPath(path: string): string {
  return cleanServerText(path, 1000)
}

/** What to say of a config file that lies there and is not used. */
export function untrustedHint(path: string): string {
  return `${shownPath(path)} is not used, as anybody could have put it there. If you know it: latchkey trust ${shellWord(path)}`
}

async function configuredAt(
  url: string,
  flags: Flags,
  context: CommandContext,
): Promise<HttpServerDefinition | undefined> {
  const servers = await readable(flags, context)
  const candidates = (servers?.definitions ?? [])
    .filter(isHttp)
    .filter((definition) => definition.url === url)
  const ofAccount = candidates.filter(
    ({ auth }) => auth.method === 'oauth' && auth.settings.account === flags.account,
  )
  const [found, other] = ofAccount.length > 0 ? ofAccount : candidates
  if (found === undefined || other === undefined) return found
  const names = [found, other].map(({ name }) => name)
  throw new UsageError(
    'Several servers of the config file have this URL.',
    `Give a name instead: ${names.join(' or ')}.`,
  )
}

/** A config file that cannot be read is no reason to refuse a URL, unless it was named. */
async function readable(flags: Flags, context: CommandContext): Promise<ServerList | undefined> {
  try {
    return await context.servers()
  } catch (error) {
    if (flags.config !== undefined || !isLatchkeyError(error)) throw error
    context.talk.say(`latchkey: warning: ${error.summary}`)
    return undefined
  }
}

function isHttp(definition: ServerDefinition | InvalidServer): definition is HttpServerDefinition {
  return definition.kind === 'http'
}
