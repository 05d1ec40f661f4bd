import { parseArgs } from 'node:util'
import { nearestKey } from '../config/nearest-key.ts'
import { quote } from '../config/problem.ts'
import { FOREIGN_PROGRAMS, isForeignProgram } from '../hosts/foreign-program.ts'
import {
  COMMANDS,
  type CommandName,
  type CommandShape,
  type FlagName,
  type Flags,
  SWITCHES,
  VALUE_FLAGS,
  type ValueFlag,
} from './flags.ts'
import { UsageError } from './usage-error.ts'

/** What was typed, understood but not yet judged: whether a server exists is for the command to find out. */
export interface Invocation {
  readonly command: CommandName
  readonly operands: readonly string[]
  readonly flags: Flags
}

/** Takes the command line apart. @throws {@link UsageError} naming what was probably meant */
export function parseArguments(argv: readonly string[]): Invocation {
  const { tokens } = parseArgs({ args: [...argv], options: OPTIONS, strict: false, tokens: true })
  const words: string[] = []
  const given: Given[] = []
  let wordsBeforeDashes: number | undefined
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind === 'option') given.push(token)
    if (token.kind === 'option-terminator') wordsBeforeDashes = words.length
  }
  const [first, ...operands] = words
  const command = commandNamed(first)
  const shape: CommandShape = COMMANDS[command]
  const flags: Record<string, string | true> = {}
  for (const flag of given) flags[flag.name] = flagValue(flag, command, shape)
  // Else a flag of the program would be taken for one of ours.
  if (shape.runs && wordsBeforeDashes !== shape.operands.length) {
    throw new UsageError(
      'The command to run stands after --, with all its arguments.',
      `Write it as latchkey ${command} SERVER -- COMMAND [ARGS]`,
    )
  }
  checkOperands(operands, command, shape, flags)
  return { command, operands, flags: flags as Flags }
}

interface Given {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

const OPTIONS = {
  ...Object.fromEntries(Object.keys(VALUE_FLAGS).map((name) => [name, { type: 'string' as const }])),
  ...Object.fromEntries(SWITCHES.map((name) => [name, { type: 'boolean' as const }])),
  help: { type: 'boolean' as const, short: 'h' },
}

const HELP = 'latchkey --help lists the commands.'

function commandNamed(word: string | undefined): CommandName {
  if (word === undefined) throw new UsageError('There is no command.', HELP)
  if (Object.hasOwn(COMMANDS, word)) return word as CommandName
  const nearest = nearestKey(word, Object.keys(COMMANDS))
  throw new UsageError(
    `There is no command ${quote(word)}.`,
    nearest === undefined ? HELP : `Did you mean: latchkey ${nearest}`,
  )
}

function flagValue(
  { name, rawName, value, inlineValue }: Given,
  command: CommandName,
  { flags }: CommandShape,
): string | true {
  if (!flags.includes(name as FlagName)) throw unknownFlag(name, rawName, command, flags)
  if (!isValueFlag(name)) {
    if (value === undefined) return true
    throw new UsageError(`${rawName} takes no value.`, `Write it as ${rawName}.`)
  }
  // `--account --json`: the value was forgotten. One that really begins so is given as `--account=--json`.
  if (value === undefined || value === '' || (!inlineValue && value.startsWith('--'))) {
    throw new UsageError(`${rawName} needs a value.`, `Write it as ${rawName} ${VALUE_FLAGS[name]}.`)
  }
  return value
}

function unknownFlag(
  name: string,
  rawName: string,
  command: CommandName,
  flags: readonly FlagName[],
): UsageError {
  if (name === 'client-secret') {
    return new UsageError(
      '--client-secret would show the secret to every program on this machine.',
      'Name a variable that holds it: --client-secret-env NAME, or pipe it: --client-secret-stdin',
    )
  }
  const elsewhere = isValueFlag(name) || (SWITCHES as readonly string[]).includes(name)
  const nearest = elsewhere ? undefined : nearestKey(name, flags)
  const message = elsewhere
    ? `latchkey ${command} has no use for ${rawName}.`
    : `There is no flag ${quote(rawName)}.`
  const remedy =
    nearest === undefined ? `latchkey ${command} --help lists its flags.` : `Did you mean: --${nearest}`
  return new UsageError(message, remedy)
}

function isValueFlag(name: string): name is ValueFlag {
  return Object.hasOwn(VALUE_FLAGS, name)
}

function checkOperands(
  operands: readonly string[],
  command: CommandName,
  { operands: names, required, rest }: CommandShape,
  flags: Flags,
): void {
  const usage = `latchkey ${command} --help shows how it is used.`
  const [extra] = rest ? [] : operands.slice(names.length)
  if (extra !== undefined) throw new UsageError(`${quote(extra)} is one word too many.`, usage)
  const missing = operands.length < required ? names[operands.length] : undefined
  if (missing !== undefined) throw new UsageError(`${missing} is missing.`, usage)
  if (command === 'logout' && (operands.length === 0) !== (flags.all ?? false)) {
    throw new UsageError('latchkey logout takes either a server or --all.', usage)
  }
  if (command === 'logout' && flags.all && (flags.account || flags['client-id'])) {
    throw new UsageError('--all ends every login; it cannot be narrowed.', usage)
  }
  if (command === 'trust' && (operands.length === 0) !== (flags.list ?? false)) {
    throw new UsageError('latchkey trust takes either a file or --list.', usage)
  }
  if (command === 'import' && !isForeignProgram(operands[0]!)) {
    throw new UsageError(
      `latchkey import knows no program ${quote(operands[0]!)}.`,
      `It takes logins over from: ${FOREIGN_PROGRAMS.join(', ')}.`,
    )
  }
  if (flags['client-secret-env'] && flags['client-secret-stdin']) {
    throw new UsageError('--client-secret-env and --client-secret-stdin exclude each other.', usage)
  }
}
