/** The command under Node: wires `cli/` to files, sockets and a browser. `bin.ts` loads it when it is needed. */
import { createHash } from 'node:crypto'
import type { CommandIo } from './cli/io.ts'
import { main as runCommand } from './cli/main.ts'
import type { CommandParts } from './cli/parts.ts'
import type { EventListener } from './events.ts'
import { readConfigFile } from './node/config-file.ts'
import { readConfigSources } from './node/config-sources.ts'
import { createForeignFiles } from './node/foreign-files.ts'
import { storeHome } from './node/paths.ts'
import { startProgram } from './node/program.ts'
import { createTrustStore } from './node/trust-store.ts'
import { environment, nodePlatform } from './node-platform.ts'

const trustStoreFor = (emit: EventListener) => createTrustStore({ home: storeHome(environment), emit })

const parts: CommandParts = {
  platform: nodePlatform,
  configFiles: (flag, emit) =>
    readConfigSources({
      environment,
      trustStore: trustStoreFor(emit),
      workingDirectory: process.cwd(),
      flag,
    }),
  foreignFiles: () => createForeignFiles(environment),
  // Not for security: mcp-remote names its files by it.
  md5: (text) => createHash('md5').update(text, 'utf8').digest('hex'),
  trustedFiles: (emit) => {
    const trustStore = trustStoreFor(emit)
    return {
      read: (path) => readConfigFile({ path, origin: 'default' }, { environment, trustStore }),
      trust: (path, text) => trustStore.trust(path, text),
      forget: (path) => trustStore.forget(path),
      list: () => trustStore.list(),
    }
  },
  startProgram,
}

/** Runs a command line and resolves to the exit code. */
export function main(argv: readonly string[], io: CommandIo): Promise<number> {
  return runCommand(argv, io, parts)
}
