import { definitionsFromText } from '../config/mcp-servers.ts'
import { cleanServerText } from '../errors/server-text.ts'
import type { Invocation } from './arguments.ts'
import type { CommandContext } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { duration } from './times.ts'

/** `latchkey trust FILE [--forget]` and `latchkey trust --list` */
export async function trust({ operands, flags }: Invocation, context: CommandContext): Promise<number> {
  const [path] = operands
  if (path === undefined) return list(context)
  return flags.forget ? forget(path, context) : remember(path, context)
}

/** A file without servers is no config: it is refused before it is remembered. */
async function remember(path: string, context: CommandContext): Promise<number> {
  const trusted = context.parts.trustedFiles(context.emit)
  const read = await trusted.read(path)
  const { definitions } = definitionsFromText(read.text, { path: read.path, env: {}, expansion: 'refused' })
  const file = await trusted.trust(read.path, read.text)
  const servers = definitions.map(({ name }) => name)
  const names = servers.length === 0 ? 'It names no server.' : `Its servers: ${servers.join(', ')}.`
  context.result(
    { trusted: true, ...file, servers },
    `Trusted ${shown(file.path)} as it is now.\n  ${names}\n  When it changes, it has to be trusted again.\n`,
  )
  return EXIT.done
}

async function forget(path: string, context: CommandContext): Promise<number> {
  const wasTrusted = await context.parts.trustedFiles(context.emit).forget(path)
  context.result(
    { trusted: false, path, was_trusted: wasTrusted },
    wasTrusted ? `${shown(path)} is no longer trusted.\n` : `${shown(path)} was not trusted.\n`,
  )
  return EXIT.done
}

async function list(context: CommandContext): Promise<number> {
  const files = await context.parts.trustedFiles(context.emit).list()
  const now = context.clock.now() / 1000
  const lines = files.map(({ path, trusted_at }) => `${shown(path)} (since ${duration(now - trusted_at)})\n`)
  context.result({ files }, lines.length === 0 ? 'No file is trusted.\n' : lines.join(''))
  return EXIT.done
}

/** Whoever packed an archive chose the names of its folders. */
function shown(path: string): string {
  return cleanServerText(path, 1000)
}
