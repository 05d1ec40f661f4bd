import type { ChallengeSummary } from '../errors/index.ts'
import { challengeOf } from '../oauth/challenge.ts'
import type { FlowContext } from './context.ts'

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'latchkey', version: '1' } },
}

/**
 * Asks the MCP server, without a credential, what it wants: for a sign-in that nobody's 401 started.
 * `undefined` when no request was refused: discovery then goes by the well-known URLs alone.
 *
 * @throws `network_failed`
 */
export async function probe(
  serverUrl: string,
  headers: Readonly<Record<string, string>>,
  context: FlowContext,
): Promise<ChallengeSummary | undefined> {
  const fetch = context.fetch('probe')
  const signal = context.signal ? { signal: context.signal } : {}
  const send = (init: RequestInit) => fetch(serverUrl, { ...init, ...signal })
  const post = await send({
    method: 'POST',
    headers: {
      ...headers,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: JSON.stringify(INITIALIZE),
  })
  await post.body?.cancel()
  if (post.status === 401) return told(post, context)
  if (post.ok || post.status >= 500) return undefined
  // An SSE-only server may refuse the POST before it looks at credentials.
  const get = await send({ headers: { ...headers, accept: 'text/event-stream' } })
  await get.body?.cancel()
  return get.status === 401 ? told(get, context) : undefined
}

function told(response: Response, { emit, server }: FlowContext): ChallengeSummary {
  const { scheme, ...said } = challengeOf(response)
  emit({ type: 'challenge_received', server, status: response.status, ...(scheme && { scheme }), ...said })
  return { scheme, ...said }
}
