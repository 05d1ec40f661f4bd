import type { Runtime } from '../credentials/runtime.ts'
import { renderEvent } from '../event-lines.ts'
import type { EventListener, Warning } from '../events.ts'
import { createLatchkey } from '../latchkey.ts'
import { type FullPlatform, STORE_NAMES, type StoreName } from '../options.ts'
import type { Clock } from '../ports.ts'
import type { Invocation } from './arguments.ts'
import type { CommandName, Flags } from './flags.ts'
import type { CommandIo } from './io.ts'
import { jsonText } from './json-text.ts'
import type { CommandParts } from './parts.ts'
import { readServerList, type ServerList } from './server-list.ts'
import { createSignInTalk } from './sign-in-talk.ts'
import { Talk } from './talk.ts'
import { UsageError } from './usage-error.ts'

/** What every command works with. */
export interface CommandContext {
  readonly io: CommandIo
  readonly parts: CommandParts
  readonly platform: FullPlatform
  readonly clock: Clock
  readonly talk: Talk
  readonly emit: EventListener
  /** The servers of the config files; read once. */
  servers(): Promise<ServerList>
  /** The library with the options of this command line. */
  runtime(): Runtime
  /** Prints the outcome on stdout: the document with `--json`, else the text. Once a command. */
  result(document: unknown, text: string): void
}

/** @throws {@link UsageError} for values of flags that are no settings of a server */
export function createContext(
  { command, flags }: Pick<Invocation, 'command' | 'flags'>,
  io: CommandIo,
  parts: CommandParts,
): CommandContext {
  const platform: FullPlatform = { ...parts.platform, attended: io.stderr.isTerminal }
  const talk = new Talk(io.stderr)
  const emit = createListener(command, flags, talk, platform)
  const interactive = chosenInteractive(flags.interactive)
  const timeout = seconds(flags.timeout)
  const store = chosenStore(flags.store)
  let servers: Promise<ServerList> | undefined
  let runtime: Runtime | undefined
  return {
    io,
    parts,
    platform,
    clock: platform.clock,
    talk,
    emit,
    servers: () => {
      servers ??= parts.configFiles(flags.config, emit).then((files) => readServerList(files, io.env))
      return servers
    },
    runtime: () => {
      runtime ??= createLatchkey(platform).runtime({
        onEvent: emit,
        // This command writes the lines itself, between its own.
        debug: false,
        interactive,
        signal: io.signal,
        ...(timeout !== undefined && { callbackTimeout: timeout * 1000 }),
        ...(store && { store }),
      })
      return runtime
    },
    result: (document, text) => {
      talk.clear()
      io.stdout.write(flags.json ? jsonText(document) : text)
    },
  }
}

function createListener(
  command: CommandName,
  flags: Flags,
  talk: Talk,
  platform: FullPlatform,
): EventListener {
  const debug = flags.debug ?? platform.debug
  const signInTalk = createSignInTalk(talk, platform.clock)
  return (event) => {
    if (debug) talk.say(renderEvent(event))
    else if (event.type === 'warning' && event.code !== SAID_BY_COMMAND[command])
      talk.say(`latchkey: warning: ${event.message}`)
    signInTalk(event)
    // `login` says it as its result.
    if (event.type === 'signed_in' && command !== 'login') talk.say('Signed in.')
  }
}

/** Warnings that are part of what a command tells anyway. */
const SAID_BY_COMMAND: Partial<Record<CommandName, Warning['code']>> = {
  login: 'no_refresh_token',
  logout: 'not_revoked',
}

type Interactive = Runtime['interactive']

function chosenInteractive(value = 'auto'): Interactive {
  if (value === 'auto' || value === 'always' || value === 'never') return value
  throw new UsageError('--interactive is auto, always or never.', 'auto opens a browser only at a terminal.')
}

function chosenStore(value: string | undefined): StoreName | undefined {
  const store = STORE_NAMES.find((name) => name === value)
  if (store || value === undefined) return store
  throw new UsageError(
    `--store is ${STORE_NAMES.join(', ')}.`,
    "file: in clear text; keychain: sealed with a key of your system's keychain; auto: one or the other.",
  )
}

function seconds(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= 1 && number <= 86_400) return number
  throw new UsageError(
    '--timeout takes a number of seconds from 1 to 86400.',
    'For five minutes: --timeout 300',
  )
}
