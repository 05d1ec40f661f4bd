import { quote } from '../config/problem.ts'
import { currentToken } from '../latchkey.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import type { RunningProgram } from './parts.ts'
import { chooseStored } from './server-choice.ts'
import { UsageError } from './usage-error.ts'

/** What the shell and env(1) say of a program that could not be run. */
const NOT_EXECUTABLE = 126
const NOT_FOUND = 127

/**
 * `latchkey exec SERVER [--env NAME] -- COMMAND [ARGS]`: the token is in the environment of that one program, and in no
 * argument, file or output.
 */
export async function exec({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const [server, file, ...args] = operands as readonly [string, string, ...string[]]
  const variable = variableName(flags.env)
  const { io, parts } = context
  const definition = await chooseStored(server, flags, context)
  const { access_token } = await currentToken(definition, context.runtime())
  io.signal.throwIfAborted()
  try {
    const program = parts.startProgram({ file, args, env: { ...io.env, [variable]: access_token } })
    passSignalsOn(program, context)
    return await program.ended
  } catch (error) {
    const { code } = error as { code?: unknown }
    const isMissing = code === 'ENOENT'
    context.talk.say(
      `latchkey: ${quote(file)} ${isMissing ? 'was not found' : `could not be run (${typeof code === 'string' ? code : 'unknown reason'})`}.`,
    )
    return isMissing ? NOT_FOUND : NOT_EXECUTABLE
  }
}

/** The program decides what ends it; this command ends after it, with its code. */
function passSignalsOn(program: RunningProgram, { io }: CommandContext): void {
  io.passSignals((signal) => {
    // Ctrl-C reaches every program at the terminal by itself: a second one would mean "at once" to many.
    if (signal !== 'SIGINT' || !io.stdin.isTerminal) program.signal(signal)
  })
}

function variableName(name = 'LATCHKEY_TOKEN'): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name
  throw new UsageError(
    `--env ${quote(name)} is no name of a variable.`,
    'Letters, digits and _, with no digit at the start: --env API_TOKEN',
  )
}
