import type * as Sdk from '@modelcontextprotocol/client'
import type { StdioServerDefinition } from '../definitions.ts'

/** The parts of the official SDK that carry MCP. Loaded only when a session is opened. */
export type McpSdk = Pick<typeof Sdk, 'Client' | 'StreamableHTTPClientTransport' | 'SSEClientTransport'>
export type SdkClient = Sdk.Client
export type SdkTransport = Sdk.Transport

/** How a platform brings the SDK, and starts a program where it can. */
export interface McpPlatform {
  readonly loadSdk: () => Promise<McpSdk>
  /** A transport to a child process; absent where there are none. */
  readonly stdioTransport?: (definition: StdioServerDefinition) => Promise<SdkTransport>
}
