/** The parts of the official SDK that latchkey ships, for installs without `@modelcontextprotocol/client`. */
export { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
export { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
