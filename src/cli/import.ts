import type { AdoptOutcome } from '../credentials/adopt-login.ts'
import type { HttpServerDefinition } from '../definitions.ts'
import { isLatchkeyError, StoreFailedError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { shownUrl } from '../errors/shown-url.ts'
import type { ForeignLogin } from '../hosts/foreign-login.ts'
import type { ForeignPlace } from '../hosts/foreign-place.ts'
import type { ForeignProgram } from '../hosts/foreign-program.ts'
import { oauthLogin } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { errorDocument, errorLines } from './error-report.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { Flags } from './flags.ts'
import { DONE, ForeignLogins, type FoundLogin, IN_WORK } from './foreign-logins.ts'
import { chooseServer, shownPath } from './server-choice.ts'
import { withFlags } from './server-settings.ts'
import { UsageError } from './usage-error.ts'

/** What became of the login of one server. */
interface Imported {
  readonly server: string
  readonly url: string
  readonly account: string | null
  readonly outcome: AdoptOutcome | 'none' | 'found' | 'error'
  /** Files of the other program, by the names they have now. */
  readonly files: readonly string[]
  readonly renewable?: boolean
  readonly error?: Record<string, unknown>
}

/** `latchkey import PROGRAM [SERVER]` */
export async function importLogins(
  { operands, flags }: Invocation,
  context: CommandContext,
): Promise<number> {
  const program = operands[0] as ForeignProgram
  const logins = new ForeignLogins(program, context)
  const wanted = await wantedServers(operands[1], flags, context)
  const shared = await sharedPlaces(wanted, logins, context)
  const all: Imported[] = []
  let exitCode: number = EXIT.done
  for (const server of wanted) {
    try {
      all.push(await importOne(server, { logins, shared, flags, context }))
    } catch (error) {
      if (!isLatchkeyError(error) || context.io.signal.aborted) throw error
      exitCode ||= exitCodeOf(error)
      for (const line of errorLines(error)) context.talk.say(line)
      all.push({ ...about(server, context), outcome: 'error', files: [], ...errorDocument(error) })
    }
  }
  const shown = all.filter(({ outcome }) => operands[1] !== undefined || outcome !== 'none')
  const lines = shown.length === 0 ? [nothing(program, wanted)] : shown.map((each) => sentence(each, program))
  context.result({ program, dry_run: flags['dry-run'] ?? false, servers: all }, `${lines.join('\n')}\n`)
  return exitCode
}

/** Names are computed from URLs, so a server that is in no config file has to be named. */
function nothing(program: string, wanted: readonly HttpServerDefinition[]): string {
  const said = `There is no login of ${program} to take over`
  return wanted.length > 0
    ? `${said} for the servers of the config file.`
    : `${said}: no server is configured. Name one by its URL: latchkey import ${program} https://…`
}

/** The server that was named, or every configured one that signs in with OAuth. */
async function wantedServers(
  operand: string | undefined,
  flags: Flags,
  context: CommandContext,
): Promise<HttpServerDefinition[]> {
  if (operand !== undefined) {
    const definition = await chooseServer(operand, flags, context)
    oauthLogin(definition, context.runtime())
    return [definition as HttpServerDefinition]
  }
  const configured = await oauthServers(context)
  return Promise.all(
    configured
      .filter(({ disabled }) => !disabled)
      .map(async (server) => (await withFlags(server, flags, context.io)) as HttpServerDefinition),
  )
}

async function oauthServers(context: CommandContext): Promise<HttpServerDefinition[]> {
  const { definitions } = await context.servers()
  return definitions.filter(
    (definition): definition is HttpServerDefinition =>
      definition.kind === 'http' && definition.auth.method === 'oauth',
  )
}

/** Names that could stand for more than one of the servers: nothing at such a place may be taken for either. */
type SharedPlaces = ReadonlyMap<string, ReadonlySet<string>>

async function sharedPlaces(
  wanted: readonly HttpServerDefinition[],
  logins: ForeignLogins,
  context: CommandContext,
): Promise<SharedPlaces> {
  const servers = new Map<string, Set<string>>()
  // Two logins at one URL are two answers as well, where it was not said which is meant.
  const meaning = ({ name, url }: HttpServerDefinition) => (wanted.length > 1 ? `${name} (${url})` : url)
  for (const server of [...wanted, ...(await configuredOrNone(context))]) {
    for (const place of await logins.places(server)) {
      const meant = servers.get(keyOf(place)) ?? new Set()
      servers.set(keyOf(place), meant.add(meaning(server)))
    }
  }
  return servers
}

/** A URL was given, so a config file that cannot be read is no reason to stop. */
async function configuredOrNone(context: CommandContext): Promise<HttpServerDefinition[]> {
  return oauthServers(context).catch((error: unknown) => {
    if (isLatchkeyError(error)) return []
    throw error
  })
}

interface ImportParts {
  readonly logins: ForeignLogins
  readonly shared: SharedPlaces
  readonly flags: Flags
  readonly context: CommandContext
}

async function importOne(server: HttpServerDefinition, parts: ImportParts): Promise<Imported> {
  const { logins, shared, flags, context } = parts
  const found = await logins.newest(await logins.places(server))
  if (!found) return { ...about(server, context), outcome: 'none', files: [] }
  const meant = [...(shared.get(keyOf(found.place)) ?? [])]
  if (meant.length > 1) throw ambiguous(found, meant)
  if (!found.login) throw notWhole(found)
  const paths = found.files.map(({ path }) => path)
  const known = { ...about(server, context), renewable: found.login.refresh_token !== undefined }
  if (flags['dry-run']) return { ...known, outcome: 'found', files: paths }
  const { outcome, names } = await adopt(server, { ...found, login: found.login }, parts)
  if (outcome === 'kept') return { ...known, outcome, files: paths }
  // Only now: until ours was on the disk, theirs was the login.
  const files: string[] = []
  for (const [index, path] of paths.entries()) {
    const own = path.endsWith(IN_WORK) ? path.slice(0, -IN_WORK.length) : path
    files.push(await logins.files.rename(names[index]!, own + DONE))
  }
  return { ...known, outcome, files }
}

/** `names` are what the files are called now: one that is where ours will be steps aside. */
async function adopt(
  server: HttpServerDefinition,
  { files, login: strange }: FoundLogin & { login: ForeignLogin },
  { logins, flags, context }: ImportParts,
): Promise<{ outcome: AdoptOutcome; names: string[] }> {
  const login = oauthLogin(server, context.runtime())
  const names = files.map(({ path }) => path)
  const stepAside = async () => {
    if (names[0] !== login.keeper.location) return
    for (const [index, { path }] of files.entries())
      names[index] = await logins.files.rename(path, path + IN_WORK)
  }
  try {
    const outcome = await login.adopt({
      strange,
      confirm: ({ issuer }) => confirm(server, issuer, flags, context),
      beforeRenewal: stepAside,
      force: flags.force ?? false,
    })
    return { outcome, names }
  } catch (error) {
    for (const [index, { path }] of files.entries())
      if (names[index] !== path) await logins.files.restore(names[index]!, path)
    throw error
  }
}

/** The host is what tells: it is where the refresh token goes. */
async function confirm(
  server: HttpServerDefinition,
  issuer: string,
  flags: Flags,
  { io, talk }: CommandContext,
): Promise<boolean> {
  const { host } = new URL(issuer)
  if (flags.yes) return true
  if (!io.stdin.isTerminal || !io.stderr.isTerminal) {
    throw new UsageError(
      `The files do not say which authorization server the login for ${server.name} is from. The server names ${host}.`,
      `If that is where you signed in, run it again with --yes.`,
    )
  }
  talk.say(`${cleanServerText(server.name)} says that you sign in at ${cleanServerText(host)}.`)
  io.stderr.write(`Send the login there to renew it? [y/N] `)
  return /^y(es)?$/i.test(await io.stdin.readLine())
}

function about(
  server: HttpServerDefinition,
  context: CommandContext,
): Pick<Imported, 'server' | 'url' | 'account'> {
  const { account } = oauthLogin(server, context.runtime()).identity
  return { server: server.name, url: shownUrl(server.url), account }
}

function keyOf({ root, tokens }: ForeignPlace): string {
  return `${root} ${tokens}`
}

function ambiguous({ files }: FoundLogin, meant: readonly string[]): UsageError {
  return new UsageError(
    `${shownPath(files[0]!.path)} could be the login of ${meant.join(' or of ')}. It was left as it is.`,
    'Where one server has several logins, say which: latchkey import PROGRAM SERVER. Else sign in to each.',
  )
}

function notWhole({ files }: FoundLogin): StoreFailedError {
  const paths = files.map(({ path }) => path)
  return new StoreFailedError({
    location: paths[0]!,
    message: `${paths.map(shownPath).join(' with ')} holds no whole login. It was left as it is.`,
    remedy: 'Sign in with `latchkey login` instead.',
  })
}

function sentence({ server, account, outcome, files, renewable }: Imported, program: string): string {
  const who = cleanServerText(account === null ? server : `${server} (account ${account})`)
  const where = files.map((file) => `\n  ${shownPath(file)}`).join('')
  switch (outcome) {
    case 'taken':
      return `Took over the login for ${who}. The files of ${program} are kept as:${where}`
    case 'resumed':
      return `The login for ${who} was taken over before. The files of ${program} are kept as:${where}`
    case 'kept':
      return `There is a login for ${who} already; that of ${program} was left where it is (--force takes it):${where}`
    case 'found':
      return `Would take over the login for ${who}${renewable ? '' : ' (no refresh token: it lasts until it expires)'}:${where}`
    case 'none':
      return `${program} has no login for ${who}.`
    case 'error':
      return `Did not take over the login for ${who}: see above.`
  }
}
