import { readFile } from 'node:fs/promises'
import { concealed } from '../concealed.ts'
import { parseEnvFile } from '../config/env-file.ts'
import type { StdioServerDefinition } from '../definitions.ts'
import { ConfigInvalidError } from '../errors/index.ts'
import type { SdkTransport } from '../mcp/sdk.ts'
import { loadMcpSdk } from './mcp-sdk.ts'

/** Environment variables that a child never inherits: they are ours. */
const OWN = /^LATCHKEY_/

/**
 * A transport to a program of the configuration. It inherits the environment, as every host's programs do; `envFile`
 * and then `env` come on top. Throws `config_invalid` when `envFile` cannot be read.
 */
export async function openStdioTransport(
  { name, command, args, env, envFile, cwd }: StdioServerDefinition,
  inherited: Readonly<Record<string, string | undefined>>,
): Promise<SdkTransport> {
  const environment: Record<string, string> = {}
  for (const [variable, value] of Object.entries(inherited)) {
    if (value !== undefined && !OWN.test(variable)) environment[variable] = value
  }
  if (envFile !== undefined) Object.assign(environment, await readEnvFile(name, envFile))
  const { StdioClientTransport } = await loadMcpSdk()
  return new StdioClientTransport({
    command,
    args: [...args],
    // The transport keeps it, where a program can look.
    env: concealed({ ...environment, ...env }, '[environment]'),
    // A program's own talk belongs to the person, as with every host.
    stderr: 'inherit',
    ...(cwd !== undefined && { cwd }),
  })
}

async function readEnvFile(server: string, path: string): Promise<Record<string, string>> {
  try {
    return parseEnvFile(await readFile(path, 'utf8'), path)
  } catch (error) {
    if (
      !(
        error instanceof Error &&
        'code' in error &&
        typeof error.code === 'string' &&
        error.code.startsWith('E')
      )
    )
      throw error
    throw new ConfigInvalidError({
      message: `The env file ${path} could not be read (${error.code}).`,
      remedy: `Create it, or correct mcpServers.${server}.envFile.`,
      key: `mcpServers.${server}.envFile`,
      cause: error,
    })
  }
}
