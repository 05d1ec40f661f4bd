import { isLatchkeyError, LoginRequiredError, SignInCancelledError } from '../errors/index.ts'
import { type Invocation, parseArguments } from './arguments.ts'
import { call } from './call.ts'
import { type CommandContext, createContext } from './context.ts'
import { errorDocument, errorLines, isUnexpected, stackFrames } from './error-report.ts'
import { exec } from './exec.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { CommandName } from './flags.ts'
import { answerAtOnce } from './help.ts'
import { importLogins } from './import.ts'
import type { CommandIo } from './io.ts'
import { jsonText } from './json-text.ts'
import { login } from './login.ts'
import { logout } from './logout.ts'
import { nextCommand } from './next-command.ts'
import type { CommandParts } from './parts.ts'
import { status } from './status.ts'
import { token } from './token.ts'
import { tools } from './tools.ts'
import { trust } from './trust.ts'

type Run = (invocation: Invocation, context: CommandContext) => Promise<number>

const RUN: Readonly<Record<CommandName, Run>> = {
  login,
  logout,
  status,
  tools,
  call,
  token,
  exec,
  trust,
  import: importLogins,
}

/** Milliseconds a command has to end well after Ctrl-C, before it is left where it is. */
const GRACE = 500

/** Columns of a terminal that prose is broken at. */
const WIDTH = 80

/** Runs one command line. Resolves to the exit code; whatever went wrong was said by then. */
export async function main(argv: readonly string[], io: CommandIo, parts: CommandParts): Promise<number> {
  const answer = answerAtOnce(argv)
  if (answer !== undefined) {
    io.stdout.write(answer)
    return EXIT.done
  }
  let invocation: Invocation | undefined
  let context: CommandContext | undefined
  try {
    invocation = parseArguments(argv)
    context = createContext(invocation, io, parts)
    return await Promise.race([RUN[invocation.command](invocation, context), cancelled(io.signal, context)])
  } catch (thrown) {
    const error = io.signal.aborted ? asCancelled(thrown) : withConfigFlag(thrown, invocation)
    context?.talk.clear()
    if (invocation?.flags.json ?? argv.includes('--json')) io.stdout.write(jsonText(errorDocument(error)))
    io.stderr.write(`${errorLines(error, io.stderr.isTerminal ? WIDTH : undefined).join('\n')}\n`)
    if (invocation?.flags.debug && isUnexpected(error)) io.stderr.write(`${stackFrames(error)}\n`)
    return exitCodeOf(error)
  }
}

/** Rejects a moment after Ctrl-C. */
function cancelled(signal: AbortSignal, { clock }: CommandContext): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => clock.setTimer(() => reject(signal.reason), GRACE)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

/** After Ctrl-C whatever broke did so because of it. */
function asCancelled(error: unknown): unknown {
  if (isLatchkeyError(error) && error.code === 'sign_in_cancelled') return error
  return new SignInCancelledError({ message: 'Cancelled.', server: '', cause: error })
}

/** What is to be run has to find the same server. */
function withConfigFlag(error: unknown, invocation: Invocation | undefined): unknown {
  if (!invocation || !(error instanceof LoginRequiredError) || !error.remedy.startsWith('Run: ')) return error
  const { summary: message, remedy, server, challenge } = error
  return new LoginRequiredError({
    message,
    remedy: nextCommand(remedy, invocation.flags),
    server,
    challenge,
    cause: error,
  })
}
