import { ChildProcess } from 'node:child_process'
import { concealed } from '../concealed.ts'
import { parseEnvFile } from '../config/env-file.ts'
import type { StdioServerDefinition } from '../definitions.ts'
import { ConfigInvalidError } from '../errors/index.ts'
import type { SdkTransport } from '../mcp/sdk.ts'
import { loadMcpSdk } from './mcp-sdk.ts'
import { readNamedFile, UnfitFileError } from './plain-file.ts'
import { systemCode } from './store-folder-error.ts'

/** No environment is longer, in bytes. */
const LONGEST = 1024 * 1024

/** Environment variables that a child never inherits: they are ours. */
const OWN = /^LATCHKEY_/

/** What is shown of the arguments of a program: an expanded variable in them may be a secret. */
const ARGUMENTS = '[arguments]'

/**
 * A transport to a program of the configuration. It inherits the environment, as every host's programs do; `envFile`
 * and then `env` come on top. Throws `config_invalid` when `envFile` cannot be read.
 */
export async function openStdioTransport(
  { name, command, args, env, envFile, cwd }: StdioServerDefinition,
  inherited: Readonly<Record<string, string | undefined>>,
): Promise<SdkTransport> {
  const environment: Record<string, string> = Object.create(null)
  for (const [variable, value] of Object.entries(inherited)) {
    if (value !== undefined && !OWN.test(variable)) environment[variable] = value
  }
  if (envFile !== undefined) Object.assign(environment, await readEnvFile(name, envFile))
  const { StdioClientTransport } = await loadMcpSdk()
  const transport = new StdioClientTransport({
    command,
    // The transport keeps them, where a program can look.
    args: concealed([...args], ARGUMENTS),
    env: concealed({ ...environment, ...env }, '[environment]'),
    // A program's own talk belongs to the person, as with every host.
    stderr: 'inherit',
    ...(cwd !== undefined && { cwd }),
  })
  const start = transport.start.bind(transport)
  transport.start = async () => {
    const started = start()
    const child: unknown = Reflect.get(transport, '_process')
    // So does what Node knows of the program.
    if (child instanceof ChildProcess) concealed(child.spawnargs, ARGUMENTS)
    await started
  }
  return transport
}

async function readEnvFile(server: string, path: string): Promise<Record<string, string>> {
  try {
    const { bytes } = await readNamedFile(path, { limit: LONGEST })
    return parseEnvFile(new TextDecoder().decode(bytes), path)
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined && !(error instanceof UnfitFileError)) throw error
    const because = error instanceof UnfitFileError ? error.message : `could not be read (${code})`
    throw new ConfigInvalidError({
      message: `The env file ${path} ${because}.`,
      remedy: `Create it, or correct mcpServers.${server}.envFile.`,
      key: `mcpServers.${server}.envFile`,
      cause: error,
    })
  }
}
