import { nearestKey } from '../config/nearest-key.ts'
import { isRecord, quote } from '../config/problem.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { UsageError } from './usage-error.ts'

/** What is used of a tool's definition. */
export interface Tool {
  readonly name: string
  readonly description?: string | undefined
  readonly inputSchema: { readonly properties?: unknown; readonly required?: unknown }
}

export interface Argument {
  readonly name: string
  /** JSON Schema's word; `value` where the schema does not say one. */
  readonly type: string
  readonly required: boolean
}

/** The arguments of a tool by its JSON Schema, required ones first. */
export function argumentsOf({ inputSchema: { properties, required } }: Tool): Argument[] {
  const needed: readonly unknown[] = Array.isArray(required) ? required : []
  return Object.entries(isRecord(properties) ? properties : {})
    .map(([name, schema]) => ({ name, type: typeOf(schema), required: needed.includes(name) }))
    .sort((a, b) => Number(b.required) - Number(a.required))
}

function typeOf(schema: unknown): string {
  const type = isRecord(schema) ? schema.type : undefined
  if (typeof type === 'string') return type
  const types = Array.isArray(type) ? type.filter((each) => typeof each === 'string' && each !== 'null') : []
  return types.length === 1 ? types[0] : 'value'
}

/** One JSON object, as it is typed or piped. @throws {@link UsageError} */
export function argumentsOfJson(text: string): Record<string, unknown> {
  const value = parse(text)
  if (isRecord(value)) return value
  throw new UsageError(
    'The arguments are no JSON object.',
    `Write them as '{"text": "hello"}' (in single quotes, for the shell), or as text=hello.`,
  )
}

/**
 * Words: `name=value` becomes what the tool's schema asks for, `name:=json` is taken as it is.
 *
 * @throws {@link UsageError} for a word without `=`, and for a value that is not of the tool's type
 */
export function argumentsOfWords(words: readonly string[], tool: Tool | undefined): Record<string, unknown> {
  const known = tool ? argumentsOf(tool) : []
  const members = words.map((word): [string, unknown] => {
    const match = /^([^=]+?)(:?)=(.*)$/s.exec(word)
    if (!match) {
      throw new UsageError(
        `${quote(word)} is no argument.`,
        'Write name=value, name:=JSON, or one JSON object.',
      )
    }
    const [, name = '', colon, text = ''] = match
    if (colon) return [name, jsonValue(name, text)]
    return [name, typedValue(name, text, known)]
  })
  return Object.fromEntries(members)
}

function jsonValue(name: string, text: string): unknown {
  const value = parse(text)
  if (value !== undefined) return value
  throw new UsageError(`${name}:= takes JSON.`, `For a string write ${name}=text.`)
}

function typedValue(name: string, text: string, known: readonly Argument[]): unknown {
  const type = known.find((argument) => argument.name === name)?.type
  if (type === undefined || type === 'string') {
    const nearest =
      type === undefined && known.length > 0
        ? nearestKey(
            name,
            known.map((each) => each.name),
          )
        : undefined
    if (nearest === undefined || nearest === name) return text
    throw new UsageError(
      `The tool has no argument ${quote(name)}.`,
      `Did you mean ${cleanServerText(nearest)}?`,
    )
  }
  const value = parse(text)
  if (type === 'value') return value === undefined ? text : value
  if (isOfType(value, type)) return value
  throw new UsageError(
    `${name} is to be of type ${cleanServerText(type, 60)}.`,
    `latchkey tools shows the arguments; ${name}:= takes any JSON.`,
  )
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value)
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isRecord(value)
    case 'null':
      return value === null
    default:
      return typeof value === type
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
