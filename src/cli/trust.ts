import { isShowable, quote } from '../config/problem.ts'
import { reachOf, type ServerReach } from '../config/reach.ts'
import { shellWord } from '../errors/shell-word.ts'
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
  const reach = reachOf(read.text, read.path)
  const file = await trusted.trust(read.path, read.text)
  const servers = reach.map(({ server }) => server)
  context.result(
    { trusted: true, ...file, servers, reach },
    [
      `Trusted ${isShowable(file.path) ? file.path : quote(file.path)} as it is now.`,
      servers.length === 0 ? '  It names no server.' : `  Its servers: ${servers.map(shown).join(', ')}.`,
      ...reach.flatMap(reachLines),
      '  When it changes, it has to be trusted again.',
      `  Not what you want? latchkey trust ${shellWord(file.path)} --forget\n`,
    ].join('\n'),
  )
  return EXIT.done
}

/** What a server may do now, a line for each kind. */
function reachLines({ server, ...reach }: ServerReach): string[] {
  const command = (words: readonly string[]): string => words.map(shown).join(' ')
  const kinds: [does: string, what: readonly string[]][] = [
    ['sends requests to', reach.hosts.map(shown)],
    ['starts, with your environment,', reach.programs.map(command)],
    ['starts it in the folder', reach.folders.map(shown)],
    ['sets its variables', reach.sets.map(shown)],
    ['gets the variables', reach.variables],
    ['reads the files', reach.files.map(shown)],
    ['stands above what servers say, with', reach.vouches],
  ]
  return kinds.flatMap(([does, what]) =>
    what.length === 0 ? [] : [`  ${shown(server)} ${does} ${what.join(', ')}`],
  )
}

/** Text of the file, as it is where that is plain: it is somebody else's, and stands among ours. */
function shown(text: string): string {
  return isShowable(text) && /^[^\s"',]+$/.test(text) ? text : quote(text)
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
