/** latchkey under Node: the package's entry there, and the one place that binds it to files, sockets and a browser. */
import type { McpServersConfig } from './config/input.ts'
import { definitionsFromText } from './config/mcp-servers.ts'
import type { LoadedConfig } from './definitions.ts'
import { createLatchkey } from './latchkey.ts'
import { McpClient } from './mcp/client.ts'
import { readConfigFile } from './node/config-file.ts'
import { storeHome } from './node/paths.ts'
import { createTrustStore } from './node/trust-store.ts'
import { environment, nodePlatform } from './node-platform.ts'
import type { LatchkeyOptions } from './options.ts'
import { VERSION } from './version.ts'

export * from './public.ts'

const latchkey = createLatchkey(nodePlatform)

export const { authorizedFetch, beginLogin, completeLogin, login, logout, status } = latchkey

export interface ConfigFileOptions extends LatchkeyOptions {
  /** You vouch for the file: its `${VAR}` are expanded. @default as `latchkey trust` says */
  readonly trusted?: boolean
}

/** Connects to the servers of a configuration and signs in where they ask for it. */
export class MCPClient extends McpClient {
  /** @throws `config_invalid` when there is no table of servers; a server's own errors come when it is used */
  constructor(config: McpServersConfig | LoadedConfig, options: LatchkeyOptions = {}) {
    super(config, {
      ...options,
      runtime: latchkey.runtime(options),
      platform: nodePlatform,
      version: VERSION,
    })
  }

  /** The same as the constructor, by the name mcp-use gave it. Expands nothing. */
  static fromDict(config: McpServersConfig, options?: LatchkeyOptions): MCPClient {
    return new MCPClient(config, options)
  }

  /**
   * Reads a file of JSON with comments, in the shape of mcp-use, Claude Desktop, Claude Code, Cursor or VS Code.
   *
   * @throws `config_invalid`
   */
  static async fromConfigFile(
    path: string,
    { trusted, ...options }: ConfigFileOptions = {},
  ): Promise<MCPClient> {
    const { emit } = latchkey.runtime(options)
    const trustStore = createTrustStore({ home: storeHome(environment), emit })
    const file = await readConfigFile({ path, origin: '--config' }, { environment, trustStore })
    const expansion = (trusted ?? file.trusted) ? 'allowed' : 'refused'
    const loaded = definitionsFromText(file.text, { ...file, env: process.env, expansion })
    return new MCPClient(loaded, options)
  }
}
