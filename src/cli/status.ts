import type { LoginStatus } from '../credentials/login-status.ts'
import type { HttpServerDefinition, InvalidServer, ServerDefinition } from '../definitions.ts'
import { isLatchkeyError, type LatchkeyError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { serverStatus } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { errorDocument } from './error-report.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { Flags } from './flags.ts'
import { nextCommand } from './next-command.ts'
import { chooseStored, shownPath, untrustedHint } from './server-choice.ts'
import { withFlags } from './server-settings.ts'
import { statusBlock } from './status-block.ts'
import { identityOf, storedServers } from './stored-servers.ts'
import { fields } from './text-block.ts'

/** One server of the list: what is known of it, or why nothing is. */
type Shown =
  | {
      readonly kind: 'known'
      readonly status: LoginStatus
      readonly disabled: boolean
      readonly command: string | undefined
    }
  | {
      readonly kind: 'unusable'
      readonly server: string
      readonly disabled: boolean
      readonly error: LatchkeyError
    }

/** `latchkey status [SERVER]`. Reads config and store, asks no network. */
export async function status({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const [operand] = operands
  const shown = operand === undefined ? await all(flags, context) : await one(operand, flags, context)
  const now = context.clock.now() / 1000
  const blocks = shown.map((server) => `${block(server, now).join('\n')}\n`)
  const document = { servers: shown.map(documentOf) }
  context.result(document, blocks.length === 0 ? await nothing(context) : blocks.join('\n'))
  return exitCode(shown, operand !== undefined)
}

/** The login that is meant, then all others that are stored for the same URL. */
async function one(operand: string, flags: Flags, context: CommandContext): Promise<Shown[]> {
  const chosen = await chooseStored(operand, flags, context)
  const shown = [await look(chosen, flags, context)]
  const isNarrowed = flags.account !== undefined || flags['client-id'] !== undefined
  if (chosen.kind !== 'http' || isNarrowed) return shown
  for (const server of await storedServers(context)) {
    const isOther = server.url === chosen.url && identityOf(server) !== identityOf(chosen)
    if (isOther) shown.push(await look(server, flags, context))
  }
  return shown
}

/** Every configured server in its order, then the logins of servers that are in no config file. */
async function all(flags: Flags, context: CommandContext): Promise<Shown[]> {
  const { definitions, warnings, untrusted } = await context.servers()
  for (const warning of warnings) context.emit(warning)
  if (untrusted !== undefined) context.talk.say(`latchkey: ${untrustedHint(untrusted)}`)
  const shown: Shown[] = []
  const seen = new Set<string>()
  for (const definition of definitions) {
    const server = await asAsked(definition, flags, context)
    if (server.kind === 'http') seen.add(identityOf(server))
    shown.push(await look(server, flags, context))
  }
  for (const server of await storedServers(context)) {
    if (!seen.has(identityOf(server)) && fits(server, flags)) shown.push(await look(server, flags, context))
  }
  return shown
}

/** `--account` asks for that login of every server that can have several. */
async function asAsked(
  definition: ServerDefinition | InvalidServer,
  flags: Flags,
  { io }: CommandContext,
): Promise<ServerDefinition | InvalidServer> {
  const canHave = definition.kind === 'http' && definition.auth.method === 'oauth'
  return canHave ? withFlags(definition, flags, io) : definition
}

function fits({ auth }: HttpServerDefinition, flags: Flags): boolean {
  const settings = auth.method === 'oauth' ? auth.settings : {}
  const isOfAccount = flags.account === undefined || settings.account === flags.account
  return isOfAccount && (flags['client-id'] === undefined || settings.client_id === flags['client-id'])
}

/** A store that cannot be read for one server says nothing about the others. */
async function look(
  server: ServerDefinition | InvalidServer,
  flags: Flags,
  context: CommandContext,
): Promise<Shown> {
  const { name, disabled } = server
  if (server.kind === 'invalid') return { kind: 'unusable', server: name, disabled, error: server.error }
  // An argument may be a secret out of a variable.
  const command = server.kind === 'stdio' ? server.command + (server.args.length > 0 ? ' …' : '') : undefined
  try {
    const known = await serverStatus(server, context.runtime())
    return { kind: 'known', status: { ...known, next: nextCommand(known.next, flags) }, disabled, command }
  } catch (error) {
    if (!isLatchkeyError(error)) throw error
    return { kind: 'unusable', server: name, disabled, error }
  }
}

function block(shown: Shown, now: number): string[] {
  const off = shown.disabled ? ' (disabled)' : ''
  if (shown.kind === 'unusable') {
    const { server, error } = shown
    return [
      `${cleanServerText(server)}: cannot be used${off}`,
      ...fields([
        ['error', error.summary],
        ...(error.remedy === '' ? [] : [['next', error.remedy] as const]),
      ]),
    ]
  }
  const status = shown.disabled ? { ...shown.status, next: '' } : shown.status
  const [heading = '', ...rest] = statusBlock(status, now)
  const program =
    shown.command === undefined ? [] : fields([['program', cleanServerText(shown.command, 2000)]])
  return [heading + off, ...rest, ...program]
}

function documentOf(shown: Shown): Record<string, unknown> {
  const { disabled } = shown
  if (shown.kind === 'known') return { ...shown.status, disabled }
  return { server: shown.server, state: 'unusable', disabled, ...errorDocument(shown.error) }
}

async function nothing(context: CommandContext): Promise<string> {
  const { paths, userFile } = await context.servers()
  const where =
    paths.length === 0
      ? `there is no config file (${shownPath(userFile)})`
      : `${paths.map(shownPath).join(' and ')} names no server`
  return `No login is stored, and ${where}.\n  Sign in with: latchkey login https://…\n`
}

/**
 * 4 when something has to be done. A server that was never signed in to may want no login at all, so it counts only when
 * it was asked for by name.
 */
function exitCode(shown: readonly Shown[], isNamed: boolean): number {
  for (const server of shown) {
    if (server.kind === 'unusable' && !server.disabled) return exitCodeOf(server.error)
  }
  const due = shown.some((server, index) => {
    if (server.kind === 'unusable' || server.disabled) return false
    // The others at its URL are shown beside the one that was asked for.
    if (isNamed) return index === 0 && ['expired', 'signed_out'].includes(server.status.state)
    return server.status.state === 'expired'
  })
  return due ? EXIT.loginRequired : EXIT.done
}
