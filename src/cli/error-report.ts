import { isLatchkeyError } from '../errors/index.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { terminalText } from './terminal-text.ts'
import { wrap } from './text-block.ts'
import { UsageError } from './usage-error.ts'

/**
 * An error as the person sees it: what happened, what to do (indented), and the code to search for. With a width lines
 * are broken between words; a command to be typed never is.
 */
export function errorLines(error: unknown, width = Number.POSITIVE_INFINITY): string[] {
  const { code, message, remedy } = describe(error)
  const protocol = protocolCode(error)
  const [first = '', ...rest] = terminalText(`latchkey: ${message}`)
    .split('\n')
    // An entry of a list (the URLs that were asked) stays whole, to be copied.
    .flatMap((line) => (line.startsWith('  ') ? [line] : wrap(line, width - 2)))
  const advice = remedy
    .map(terminalText)
    .filter((line) => line !== '')
    .flatMap((line) => (line.startsWith('Run: ') ? [line] : wrap(line, width - 2)))
  const name = protocol === undefined ? code : `${code} ${protocol}`
  return [first, ...[...rest, ...advice, `(${name})`].map((line) => `  ${line}`)]
}

/** The same as data, for `--json`: `{ "error": { code, message, remedy, … } }`. */
export function errorDocument(error: unknown): { error: Record<string, unknown> } {
  if (isLatchkeyError(error) && !(error instanceof UsageError)) return { error: error.toJSON() }
  const { code, message, remedy } = describe(error)
  const protocol = protocolCode(error)
  return {
    error: {
      code,
      message,
      remedy: remedy.join('\n'),
      ...(protocol !== undefined && { mcp_code: protocol }),
    },
  }
}

/** Whether it is a fault of latchkey's own, where a stack helps. */
export function isUnexpected(error: unknown): error is Error {
  return error instanceof Error && !isLatchkeyError(error) && codeOf(error) === undefined
}

/** Where it was thrown. What it says may be a server's words, and stands above. */
export function stackFrames({ message, stack = '' }: Error): string {
  const frames = stack.slice(stack.indexOf(message) + message.length).split('\n')
  return terminalText(frames.filter((line) => /^ +at /.test(line)).join('\n'))
}

interface Description {
  readonly code: string
  readonly message: string
  readonly remedy: readonly string[]
}

function describe(error: unknown): Description {
  // First: it has a code and a remedy as well.
  if (error instanceof UsageError) {
    return { code: error.code, message: error.message, remedy: [error.remedy] }
  }
  if (isLatchkeyError(error)) {
    return { code: error.code, message: error.summary, remedy: error.remedy.split('\n') }
  }
  const protocol = protocolCode(error)
  const said = error instanceof Error ? cleanServerText(error.message, 500) : 'something unknown went wrong'
  if (protocol !== undefined) {
    return {
      code: 'mcp_error',
      message: `The server answered with an error: ${said}`,
      remedy: [],
    }
  }
  const sdkCode = codeOf(error)
  if (typeof sdkCode === 'string') return { code: cleanServerText(sdkCode, 60), message: said, remedy: [] }
  const remedy = 'This should not happen. --debug shows what came before it.'
  return { code: 'unexpected', message: said, remedy: [remedy] }
}

/** The JSON-RPC code of what a server answered. */
function protocolCode(error: unknown): number | undefined {
  const code = codeOf(error)
  return typeof code === 'number' ? code : undefined
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
