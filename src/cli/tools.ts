import { cleanServerText } from '../errors/server-text.ts'
import type { Invocation } from './arguments.ts'
import { withSession } from './connect.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { chooseStored } from './server-choice.ts'
import { wrap } from './text-block.ts'
import { argumentsOf, type Tool } from './tool-arguments.ts'

/** `latchkey tools SERVER` */
export async function tools({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const definition = await chooseStored(operands[0]!, flags, context)
  const list = await withSession(definition, context, (session) => session.listTools())
  const text = list.tools.map(toolLines).map((lines) => `${lines.join('\n')}\n`)
  context.result(
    { tools: list.tools },
    text.length === 0 ? `${definition.name} has no tools.\n` : text.join('\n'),
  )
  return EXIT.done
}

/** Name and arguments in the form that `latchkey call` takes, then the first paragraph of the description. */
function toolLines(tool: Tool): string[] {
  const signature = argumentsOf(tool).map(({ name, type, required }) =>
    required ? `${name}=<${type}>` : `[${name}=<${type}>]`,
  )
  const [paragraph = ''] = (tool.description ?? '').split(/\n\s*\n/)
  const description = cleanServerText(paragraph, 400)
  return [
    [tool.name, ...signature].map((word) => cleanServerText(word)).join(' '),
    ...(description === '' ? [] : wrap(description, 76).map((line) => `    ${line}`)),
  ]
}
