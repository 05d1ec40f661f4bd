import type { CallToolResult } from '@modelcontextprotocol/client'
import { nearestKey } from '../config/nearest-key.ts'
import { quote } from '../config/problem.ts'
import { cleanServerText } from '../errors/server-text.ts'
import type { Session } from '../mcp/session.ts'
import type { Invocation } from './arguments.ts'
import { withSession } from './connect.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import type { Output } from './io.ts'
import { jsonText } from './json-text.ts'
import { chooseStored } from './server-choice.ts'
import { terminalText } from './terminal-text.ts'
import { argumentsOfJson, argumentsOfWords } from './tool-arguments.ts'
import { UsageError } from './usage-error.ts'

/** `latchkey call SERVER TOOL [ARGS]` */
export async function call({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const [server, tool, ...words] = operands as readonly [string, string, ...string[]]
  // Before anything is connected: what is typed wrong need not cost a sign-in.
  const given = await immediateArguments(words, context)
  const definition = await chooseStored(server, flags, context)
  const result = await withSession(definition, context, async (session) =>
    session.callTool(tool, given ?? (await typedArguments(words, tool, session))),
  )
  context.result(result, textOf(result, context))
  if (!result.isError) return EXIT.done
  context.talk.say(`latchkey: ${cleanServerText(tool)} reported an error.`)
  return EXIT.failed
}

/** Arguments that need no look at the tool. */
async function immediateArguments(
  words: readonly string[],
  { io }: CommandContext,
): Promise<Record<string, unknown> | undefined> {
  const [first] = words
  if (first === undefined) return {}
  if (words.length === 1 && first === '-') return argumentsOfJson(await io.stdin.readAll())
  if (words.length === 1 && first.trimStart().startsWith('{')) return argumentsOfJson(first)
  argumentsOfWords(words, undefined)
  return words.every((word) => /^[^=]+?:=/.test(word)) ? argumentsOfWords(words, undefined) : undefined
}

async function typedArguments(
  words: readonly string[],
  name: string,
  session: Session,
): Promise<Record<string, unknown>> {
  const { tools } = await session.listTools()
  const tool = tools.find((each) => each.name === name)
  if (tool) return argumentsOfWords(words, tool)
  const nearest = nearestKey(
    name,
    tools.map((each) => each.name),
  )
  const remedy =
    nearest === undefined
      ? 'latchkey tools lists what there is.'
      : `Did you mean ${cleanServerText(nearest)}?`
  throw new UsageError(`${session.name} has no tool ${quote(name)}.`, remedy)
}

/** The text of the answer; what is no text is named on stderr, so that it is not silently lost. */
function textOf({ content, structuredContent }: CallToolResult, { io, talk }: CommandContext): string {
  if (content.length === 0 && structuredContent !== undefined) return jsonText(structuredContent)
  const parts: string[] = []
  for (const block of content) {
    if (block.type === 'text') parts.push(block.text)
    else if (block.type === 'resource_link') parts.push(block.uri)
    else if (block.type === 'resource' && 'text' in block.resource) parts.push(block.resource.text)
    else talk.say(`latchkey: left out ${kindOf(block)}: --json prints it.`)
  }
  return parts.map((part) => `${shown(part, io.stdout)}\n`).join('')
}

function kindOf(block: CallToolResult['content'][number]): string {
  const { mimeType } = block as { mimeType?: unknown }
  return cleanServerText(typeof mimeType === 'string' ? `${block.type} (${mimeType})` : block.type, 100)
}

/** On a terminal nothing may steer it; another program gets every byte. */
function shown(text: string, { isTerminal }: Output): string {
  const whole = text.endsWith('\n') ? text.slice(0, -1) : text
  return isTerminal ? terminalText(whole) : whole
}
