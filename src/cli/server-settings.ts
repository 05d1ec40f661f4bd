import { oauthSettings } from '../config/oauth-settings.ts'
import type { OAuthSettings, ServerDefinition } from '../definitions.ts'
import { ConfigInvalidError } from '../errors/index.ts'
import type { Flags, ValueFlag } from './flags.ts'
import type { CommandIo } from './io.ts'
import { UsageError } from './usage-error.ts'

/** Flags that are settings, and the key of each. */
const SETTING_FLAGS = {
  account: 'account',
  'client-id': 'client_id',
  scope: 'scope',
  'redirect-uri': 'redirect_uri',
  'client-metadata-url': 'client_metadata_url',
} as const satisfies Partial<Record<ValueFlag, keyof OAuthSettings>>

/**
 * The server with the flags in place of what its configuration says.
 *
 * @throws `config_invalid` for a value that cannot be, and for flags on a server that does not sign in
 */
export async function withFlags(
  definition: ServerDefinition,
  flags: Flags,
  io: CommandIo,
): Promise<ServerDefinition> {
  const given = await givenSettings(flags, io)
  if (Object.keys(given).length === 0) return definition
  if (definition.kind !== 'http' || definition.auth.method !== 'oauth') {
    throw new ConfigInvalidError({
      message: `${definition.name} does not sign in with OAuth, so it has no use for ${flagsOf(given)}.`,
      remedy: 'Leave the flags out, or remove the credential from the configuration.',
      key: 'auth',
    })
  }
  const settings = oauthSettings({ ...without(definition.auth.settings, given), ...given }, 'auth')
  return { ...definition, auth: { method: 'oauth', settings } }
}

async function givenSettings(flags: Flags, io: CommandIo): Promise<Partial<OAuthSettings>> {
  const given: Record<string, unknown> = {}
  for (const [flag, key] of Object.entries(SETTING_FLAGS)) {
    const value = flags[flag as keyof typeof SETTING_FLAGS]
    if (value !== undefined) given[key] = value
  }
  if (flags.dpop) given.dpop = true
  const port = flags['callback-port']
  if (port !== undefined) given.callback_port = /^\d+$/.test(port) ? Number(port) : port
  const secret = await clientSecret(flags, io)
  if (secret !== undefined) given.client_secret = secret
  return given
}

/** What a flag makes pointless: the secret of another client, the other way to say where the callback is. */
function without(settings: OAuthSettings, given: Partial<OAuthSettings>): OAuthSettings {
  const { client_secret, callback_port, redirect_uri, ...rest } = settings
  const isOtherClient = given.client_id !== undefined && given.client_id !== settings.client_id
  const isOtherProof = isOtherClient || given.client_secret !== undefined
  const kept = Object.fromEntries(
    Object.entries(rest).filter(
      ([key]) => !isOtherProof || !/^(client_secret|private_key)_|^private_key$/.test(key),
    ),
  )
  const isOtherAddress = given.callback_port !== undefined || given.redirect_uri !== undefined
  return {
    ...kept,
    ...(client_secret !== undefined && !isOtherClient && { client_secret }),
    ...(callback_port !== undefined && !isOtherAddress && { callback_port }),
    ...(redirect_uri !== undefined && !isOtherAddress && { redirect_uri }),
  }
}

async function clientSecret(flags: Flags, { env, stdin }: CommandIo): Promise<string | undefined> {
  const variable = flags['client-secret-env']
  if (variable !== undefined) {
    const value = env[variable]
    if (value) return value
    throw new ConfigInvalidError({
      message: `--client-secret-env: the variable ${variable} is ${value === undefined ? 'not set' : 'empty'}.`,
      remedy: 'It takes the name of a variable, not the secret itself.',
      key: '--client-secret-env',
    })
  }
  if (!flags['client-secret-stdin']) return undefined
  if (stdin.isTerminal) {
    throw new UsageError(
      '--client-secret-stdin would show the secret while you type it.',
      'Pipe it: pass show my-client | latchkey login … --client-secret-stdin',
    )
  }
  const value = (await stdin.readAll()).trim()
  if (value !== '') return value
  throw new ConfigInvalidError({
    message: '--client-secret-stdin: standard input is empty.',
    remedy: 'Pipe the secret into it.',
    key: '--client-secret-stdin',
  })
}

function flagsOf(given: Partial<OAuthSettings>): string {
  return Object.keys(given)
    .map((key) => `--${key.replaceAll('_', '-')}`)
    .join(', ')
}
