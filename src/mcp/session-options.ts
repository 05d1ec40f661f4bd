import type {
  ClientCapabilities,
  CreateMessageRequest,
  CreateMessageResult,
  ElicitRequest,
  ElicitResult,
  Root,
} from '@modelcontextprotocol/client'
import type { ResponseCache } from './response-cache.ts'
import type { McpSdk, SdkClient } from './sdk.ts'

/** What a program answers when a server asks something of it. */
export interface SessionOptions {
  /** Declared besides what the handlers below imply. */
  readonly clientCapabilities?: ClientCapabilities
  readonly onElicitation?: (request: ElicitRequest['params']) => Promise<ElicitResult> | ElicitResult
  readonly onSampling?: (
    request: CreateMessageRequest['params'],
  ) => Promise<CreateMessageResult> | CreateMessageResult
  /** The roots to name, or a function that names them when asked. */
  readonly roots?: readonly Root[] | (() => Promise<Root[]> | Root[])
}

/** A client of the official SDK that speaks every version (2025-03-26 to 2026-07-28) and has the program's handlers. */
export function createSdkClient(
  sdk: McpSdk,
  info: { name: string; version: string },
  { clientCapabilities, onElicitation, onSampling, roots }: SessionOptions,
  responseCacheStore: ResponseCache,
  extensions: NonNullable<ClientCapabilities['extensions']> = {},
): SdkClient {
  const capabilities: ClientCapabilities = {
    ...(onElicitation && { elicitation: {} }),
    ...(onSampling && { sampling: {} }),
    ...(roots && { roots: {} }),
    ...clientCapabilities,
    ...(Object.keys(extensions).length > 0 && {
      extensions: { ...extensions, ...clientCapabilities?.extensions },
    }),
  }
  const client = new sdk.Client(info, {
    capabilities,
    versionNegotiation: { mode: 'auto' },
    responseCacheStore,
  })
  if (onElicitation)
    client.setRequestHandler('elicitation/create', async ({ params }) => onElicitation(params))
  if (onSampling) client.setRequestHandler('sampling/createMessage', async ({ params }) => onSampling(params))
  if (roots) {
    client.setRequestHandler('roots/list', async () => ({
      roots: typeof roots === 'function' ? await roots() : [...roots],
    }))
  }
  return client
}
