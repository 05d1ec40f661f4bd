import { SecretUnavailableError, UnsupportedError } from '../errors/index.ts'
import type { SecretReader } from '../ports.ts'
import type { FlowContext } from './context.ts'

/** Where a secret may stand in the configuration; `key` is its path there, for messages. */
export interface SecretPlace {
  readonly settings: object
  readonly name: string
  readonly key: string
}

/**
 * A secret of the configuration, read anew: files and variables rotate. `undefined` where none is configured.
 *
 * @throws `secret_unavailable`; `unsupported` where there are neither files nor programs
 */
export async function readSecret(
  { settings, name, key }: SecretPlace,
  { secretReader, server }: Pick<FlowContext, 'secretReader' | 'server'>,
): Promise<string | undefined> {
  const members = settings as Readonly<Record<string, string | readonly string[] | undefined>>
  const literal = members[name]
  if (typeof literal === 'string') return literal
  const source = (['file', 'env', 'command'] as const).find(
    (kind) => members[`${name}_${kind}`] !== undefined,
  )
  if (source === undefined) return undefined
  const at = `${key}.${name}_${source}`
  if (!secretReader) {
    throw new UnsupportedError({
      message: `${at}: this platform has neither files nor programs to read a secret from.`,
      remedy: `Give \`${name}\` itself, from the program.`,
    })
  }
  let why = 'it is empty'
  let cause: unknown
  try {
    const secret = await read(secretReader, source, members[`${name}_${source}`]!)
    if (secret?.trim()) return secret.trim()
    if (secret === undefined) why = 'it is not set'
  } catch (error) {
    cause = error
    why = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : 'unknown reason'
  }
  const place = members[`${name}_${source}`]!
  const shown = typeof place === 'string' ? place : place[0]!
  throw new SecretUnavailableError({
    message: `${at}: nothing could be read from ${JSON.stringify(shown)} for ${server} (${why}).`,
    remedy: REMEDIES[source],
    server,
    key: at,
    cause,
  })
}

const REMEDIES = {
  file: 'Check that the file is there and that this user may read it.',
  env: 'Set the variable for this process.',
  command: 'Run the program by hand: it has to print the secret on stdout, and nothing else, within 30 s.',
}

async function read(
  reader: SecretReader,
  source: 'file' | 'env' | 'command',
  place: string | readonly string[],
): Promise<string | undefined> {
  if (typeof place !== 'string') return reader.run(place)
  return source === 'file' ? reader.readFile(place) : reader.readVariable(place)
}
