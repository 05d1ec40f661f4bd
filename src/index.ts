/**
 * latchkey where there are no files, sockets, programs and browsers: credentials live in memory, nobody can be asked.
 * Under Node the package's entry is `node.ts`, which exports the same names.
 */

import type { McpServersConfig } from './config/input.ts'
import type { LoadedConfig } from './definitions.ts'
import { createLatchkey } from './latchkey.ts'
import { McpClient } from './mcp/client.ts'
import type { LatchkeyOptions } from './options.ts'
import { VERSION } from './version.ts'
import { webPlatform } from './web-platform.ts'

export * from './public.ts'

const latchkey = createLatchkey(webPlatform)

export const { authorizedFetch, beginLogin, completeLogin, login, logout, status } = latchkey

/** Connects to the servers of a configuration and signs in where they ask for it. */
export class MCPClient extends McpClient {
  constructor(config: McpServersConfig | LoadedConfig, options: LatchkeyOptions = {}) {
    super(config, { ...options, runtime: latchkey.runtime(options), platform: webPlatform, version: VERSION })
  }

  /** The same as the constructor, by the name mcp-use gave it. Expands nothing. */
  static fromDict(config: McpServersConfig, options?: LatchkeyOptions): MCPClient {
    return new MCPClient(config, options)
  }
}
