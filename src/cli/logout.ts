import type { Identity } from '../credentials/identity.ts'
import type { HttpServerDefinition } from '../definitions.ts'
import { isLatchkeyError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { shownUrl } from '../errors/shown-url.ts'
import { type LogoutOutcome, oauthLogin } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { errorDocument, errorLines } from './error-report.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { chooseStored } from './server-choice.ts'
import { storedServers } from './stored-servers.ts'

/** What became of one login. */
interface LoggedOut {
  readonly server: string
  readonly url: string
  readonly account: string | null
  readonly outcome: LogoutOutcome | 'error'
  readonly revoked: boolean
  readonly error?: Record<string, unknown>
}

/** `latchkey logout SERVER` and `latchkey logout --all` */
export async function logout(invocation: Invocation, context: CommandContext): Promise<number> {
  return invocation.flags.all ? logoutAll(context) : logoutOne(invocation, context)
}

async function logoutOne({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const definition = await chooseStored(operands[0]!, flags, context)
  const login = oauthLogin(definition, context.runtime())
  const outcome = (await login.signOut()) ?? 'not signed in'
  const done = loggedOut(login.server, login.identity, outcome)
  context.result(done, `${sentence(done)}\n`)
  return isNotRevoked(outcome) ? EXIT.failed : EXIT.done
}

/** One login that cannot be ended keeps none of the others. */
async function logoutAll(context: CommandContext): Promise<number> {
  const all: LoggedOut[] = []
  let exitCode: number = EXIT.done
  for (const definition of await storedServers(context)) {
    const login = oauthLogin(definition, context.runtime())
    try {
      const outcome = (await login.signOut()) ?? 'not signed in'
      if (isNotRevoked(outcome)) exitCode ||= EXIT.failed
      all.push(loggedOut(login.server, login.identity, outcome))
    } catch (error) {
      if (!isLatchkeyError(error)) throw error
      exitCode ||= exitCodeOf(error)
      for (const line of errorLines(error)) context.talk.say(line)
      all.push({ ...loggedOut(login.server, login.identity, 'error'), ...errorDocument(error) })
    }
  }
  const lines = all.length === 0 ? ['No login is stored.'] : all.map(sentence)
  context.result({ logins: all }, `${lines.join('\n')}\n`)
  return exitCode
}

function loggedOut(
  { name, url }: Pick<HttpServerDefinition, 'name' | 'url'>,
  { account }: Identity,
  outcome: LoggedOut['outcome'],
): LoggedOut {
  return { server: name, url: shownUrl(url), account, outcome, revoked: outcome === 'revoked' }
}

/** It goes on at its server, which could have ended it. */
function isNotRevoked(outcome: LogoutOutcome): boolean {
  return outcome === 'failed' || outcome === 'withheld'
}

const OUTCOMES: Readonly<Record<LoggedOut['outcome'], (who: string) => string>> = {
  revoked: (who) => `Signed out of ${who}: revoked there, deleted here.`,
  unsupported: (who) =>
    `Signed out of ${who}: deleted here. The server offers no way to revoke; what it gave ends there by itself.`,
  failed: (who) =>
    `Signed out of ${who} here only: the server did not revoke the login. It ends there by itself, or in your account settings.`,
  withheld: (who) =>
    `Signed out of ${who} here only: the login is from another authorization server than the client under \`auth\` belongs to, so nothing was sent there. It ends there by itself, or in your account settings.`,
  'not signed in': (who) => `Not signed in to ${who}.`,
  error: (who) => `Still signed in to ${who}: see above.`,
}

function sentence({ server, account, outcome }: LoggedOut): string {
  const who = cleanServerText(account === null ? server : `${server} (account ${account})`)
  return OUTCOMES[outcome](who)
}
