import type * as Stdio from '@modelcontextprotocol/client/stdio'
import type { McpSdk } from '../mcp/sdk.ts'

export type NodeMcpSdk = McpSdk & Pick<typeof Stdio, 'StdioClientTransport'>

/**
 * The program's own copy of the official SDK where it has one, so that `session.client` is the `Client` it knows; else
 * the copy that latchkey ships.
 */
export async function loadMcpSdk(): Promise<NodeMcpSdk> {
  try {
    const [client, stdio] = await Promise.all([
      import('@modelcontextprotocol/client'),
      import('@modelcontextprotocol/client/stdio'),
    ])
    return { ...client, StdioClientTransport: stdio.StdioClientTransport }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    return import('./bundled-sdk.ts')
  }
}
