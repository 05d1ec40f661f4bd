import { currentToken } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { chooseStored } from './server-choice.ts'

/** `latchkey token SERVER`. The entry answers the plain case by itself, from the same records by the same rules. */
export async function token({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const definition = await chooseStored(operands[0]!, flags, context)
  const { access_token, expires_at } = await currentToken(definition, context.runtime())
  context.result({ access_token, ...(expires_at !== undefined && { expires_at }) }, `${access_token}\n`)
  return EXIT.done
}
