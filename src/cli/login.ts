import { loginStatus } from '../credentials/login-status.ts'
import { LoginRequiredError } from '../errors/index.ts'
import { oauthLogin } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { chooseServer } from './server-choice.ts'
import { statusBlock } from './status-block.ts'

/** `latchkey login SERVER` */
export async function login({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const definition = await chooseServer(operands[0]!, flags, context)
  const signIn = oauthLogin(definition, context.runtime())
  if (!signIn.byGrant) assertAttended(definition.name, context)
  await signIn.signIn({ explicit: true, force: flags.force ?? false })
  const now = context.clock.now()
  const status = await loginStatus(signIn, now)
  const lines = statusBlock(status, now / 1000, `Signed in to ${definition.name}`)
  context.result(status, `${lines.join('\n')}\n`)
  return EXIT.done
}

/** The library would say to run `latchkey login`, which is what is being done. */
function assertAttended(server: string, context: CommandContext): void {
  const { interactive, attended } = context.runtime()
  if (interactive === 'always' || (interactive === 'auto' && attended)) return
  throw new LoginRequiredError({
    message:
      interactive === 'never'
        ? `A sign-in to ${server} needs a browser, and --interactive never forbids to open one.`
        : `A sign-in to ${server} needs a person, and nobody is at a terminal here.`,
    remedy: 'Run it in a terminal, or with --interactive always where a browser can be opened.',
    server,
  })
}
